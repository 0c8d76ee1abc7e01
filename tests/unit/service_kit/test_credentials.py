"""Certificates on disk: what can be used is taken up, what cannot changes nothing and is said once."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from service_kit.credentials import Certificates, certificates
from service_kit.endpoint import EndpointError
from service_kit.settings import TlsFiles
from tests.support.certificates import Authority, issued, replaced

Damage = Callable[[TlsFiles], object]
HALF_A_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMII"
HALF_A_KEY = "-----BEGIN PRIVATE KEY-----\n"
NO_CERTIFICATE = "tls.crt holds no certificate"


def written(name: str, text: str) -> Damage:
    return lambda files: getattr(files, name).write_text(text)


REFUSALS = [
    pytest.param(lambda files: files.private_key.unlink(), "cannot read .*tls.key: No such file", id="key-gone"),
    pytest.param(written("certificate", HALF_A_CERTIFICATE), NO_CERTIFICATE, id="half-a-certificate"),
    pytest.param(written("certificate", ""), NO_CERTIFICATE, id="empty"),
    pytest.param(written("authority", "nothing"), "ca.crt holds no certificate", id="no-authority"),
    pytest.param(written("private_key", HALF_A_KEY), "tls.key holds no private key", id="half-a-key"),
    pytest.param(written("private_key", Authority().issue("x")[1]), "tls.key is not the key of", id="half-swapped"),
]


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return issued(Authority(), tmp_path / "tls")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def followed(files: TlsFiles, registry: CollectorRegistry) -> Certificates:
    return certificates(files, structlog.get_logger(), registry)


def reloads(registry: CollectorRegistry) -> tuple[float | None, ...]:
    return tuple(
        registry.get_sample_value("tollgate_tls_reloads_total", {"result": result}) for result in ("taken", "refused")
    )


def test_what_does_not_change_stays_the_same_object(followed: Certificates, registry: CollectorRegistry) -> None:
    assert followed.current() is followed.current()
    assert reloads(registry) == (0, 0)


def test_a_renewed_pair_is_taken_up(files: TlsFiles, followed: Certificates, registry: CollectorRegistry) -> None:
    before = followed.current()
    expiry = registry.get_sample_value("tollgate_tls_expiry_seconds")

    issued(Authority(), files.certificate.parent, days=9)

    assert followed.current() is not before
    assert followed.current().certificate == files.certificate.read_bytes()
    assert reloads(registry) == (1, 0)
    assert (registry.get_sample_value("tollgate_tls_expiry_seconds") or 0) > (expiry or 0)


def test_files_that_are_written_again_as_they_were_are_no_change(
    files: TlsFiles, followed: Certificates, registry: CollectorRegistry
) -> None:
    before = followed.current()

    replaced(files.certificate, files.certificate.read_text())

    assert followed.current() is before
    assert reloads(registry) == (0, 0)


@pytest.mark.parametrize(("damage", "reason"), REFUSALS)
def test_what_cannot_be_used_keeps_the_old_and_is_said_once(
    files: TlsFiles, followed: Certificates, registry: CollectorRegistry, damage: Damage, reason: str
) -> None:
    before = followed.current()

    damage(files)
    with capture_logs() as logs:
        kept = [followed.current() for _ in range(3)]

    assert all(item is before for item in kept)
    assert reloads(registry) == (0, 1)
    (line,) = logs
    assert line["log_level"] == "warning"
    assert re.search(reason, line["reason"])
    assert "BEGIN" not in str(line)


def test_a_pair_that_is_swapped_file_by_file_is_taken_when_it_is_whole(
    files: TlsFiles, followed: Certificates, registry: CollectorRegistry
) -> None:
    before = followed.current()
    certificate, key = Authority().issue("localhost")

    replaced(files.private_key, key)
    assert followed.current() is before
    replaced(files.certificate, certificate)

    assert followed.current().certificate == certificate.encode()
    assert reloads(registry) == (1, 1)


@pytest.mark.parametrize(("damage", "reason"), REFUSALS)
def test_at_the_start_it_is_an_error(files: TlsFiles, damage: Damage, reason: str) -> None:
    damage(files)

    with pytest.raises(EndpointError, match=reason):
        certificates(files, structlog.get_logger(), CollectorRegistry())


def test_the_key_is_never_shown(followed: Certificates) -> None:
    assert "PRIVATE" not in repr(followed.current())
