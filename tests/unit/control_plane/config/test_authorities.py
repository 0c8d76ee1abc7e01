"""Where the authorities of a machine are found, and what is said where they are not."""

from pathlib import Path

import pytest

from control_plane.config import authorities
from control_plane.config.authorities import SYSTEM_CA
from control_plane.config.errors import InvalidConfig
from control_plane.config.load import load
from tests.support.certificates import Authority
from tests.support.compiled import config, written

PEM = Authority().pem
HTTPS = config(upstreams={"api": {"url": "https://api.example.com"}})


def test_the_variable_names_the_file_which_is_followed(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(PEM)
    loaded = load(written(tmp_path, HTTPS), {"SSL_CERT_FILE": str(bundle)})

    assert loaded.referenced[SYSTEM_CA] == PEM.encode()
    assert bundle in loaded.files


def test_the_first_bundle_that_is_there_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b").write_text("# none here")
    for name in ("c", "d"):
        (tmp_path / name).write_text(f"{name}\n{PEM}")
    monkeypatch.setattr(authorities, "BUNDLES", tuple(tmp_path / name for name in "abcd"))

    assert load(written(tmp_path, HTTPS), {}).referenced[SYSTEM_CA] == f"c\n{PEM}".encode()


@pytest.mark.parametrize(
    "upstream",
    [
        pytest.param({"url": "http://10.0.0.1"}, id="clear text"),
        pytest.param({"url": "https://10.0.0.1", "tls": {"verify": False}}, id="unverified"),
    ],
)
def test_nobody_is_asked_for_what_nothing_needs(tmp_path: Path, upstream) -> None:
    loaded = load(written(tmp_path, config(upstreams={"api": upstream})), {"SSL_CERT_FILE": "/nowhere"})

    assert SYSTEM_CA not in loaded.referenced


def test_a_machine_without_authorities_is_an_error_at_the_upstream(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(authorities, "BUNDLES", (tmp_path / "none",))
    with pytest.raises(InvalidConfig) as bare:
        load(written(tmp_path, HTTPS), {})
    with pytest.raises(InvalidConfig) as misled:
        load(written(tmp_path, HTTPS), {"SSL_CERT_FILE": "/nowhere"})

    cure = "install the package ca-certificates, or write `tls: {ca: file:/path/to/ca.pem}`"
    assert str(bare.value).endswith(
        f"this machine has no certificate authorities to verify it by (upstreams.api.url); {cure}"
    )
    assert "SSL_CERT_FILE names /nowhere: " in str(misled.value)
    assert str(misled.value).endswith(f"(upstreams.api.url); {cure}")


def test_the_preset_is_told_at_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"GATEWAY_BEARER_TOKEN": "a-bearer-token-for-tests", "OLLAMA_BASE_URL": "https://ollama.internal"}
    with pytest.raises(InvalidConfig, match="environment: OLLAMA_BASE_URL: SSL_CERT_FILE names /nowhere"):
        load(None, {**environ, "SSL_CERT_FILE": "/nowhere"})
