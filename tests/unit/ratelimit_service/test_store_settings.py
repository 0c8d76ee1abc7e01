"""How the store is reached, from flags and environment; never a password from a flag."""

from pathlib import Path

import pytest

from ratelimit_service.connections import Login, StoreTls
from ratelimit_service.main import parsed_settings

REQUIRED = ["--listen", "unix:/run/limits.sock", "--control-plane", "unix:/run/xds.sock"]


def parsed(*flags, **environ):
    return parsed_settings([*REQUIRED, *flags], environ)[1]


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    return file


def test_the_address_comes_from_a_flag_or_the_environment():
    assert parsed("--store", "unix:/s").address == "unix:/s"
    assert parsed(TOLLGATE_STORE="redis://store").address == "redis://store"


def test_a_user_and_the_password_of_the_environment():
    settings = parsed("--store", "redis://store", "--store-username", "limits", TOLLGATE_STORE_PASSWORD="hunter2")

    assert settings.options.login == Login("limits", "hunter2")


def test_a_password_file_for_the_store_and_one_for_sentinels(file):
    chosen = ("--store-password-file", str(file), "--store-sentinel-password-file", str(file))

    options = parsed("--store", "redis+sentinel://store/counters", *chosen).options

    assert options.login == options.sentinel_login == Login(password_file=file)


def test_files_of_tls():
    flags = ("--store-tls-authority", "a", "--store-tls-certificate", "b", "--store-tls-private-key", "c")

    assert parsed("--store", "rediss://store", *flags).options.tls == StoreTls(Path("a"), Path("b"), Path("c"))


def test_a_timeout():
    assert parsed("--store", "unix:/s", "--store-timeout", "0.5").options.timeout == 0.5


@pytest.mark.parametrize(
    ("flags", "environ", "words"),
    [
        pytest.param((), {}, "--store is missing: write unix:/path", id="no-store"),
        pytest.param(("--store", "http://store"), {}, "--store: the store's address must be", id="no-address"),
        pytest.param(("--store", "redis://:hunter2@store"), {}, "can be read by every user", id="shown-password"),
        pytest.param(("--store-password-file", "/nowhere"), {}, "--store-password-file: [Errno 2]", id="no-file"),
        pytest.param(("--store-tls-private-key", "key"), {}, "need each other", id="half-a-pair"),
        pytest.param(("--store-timeout", "5"), {}, "at most 0.9: Envoy waits no longer", id="too-patient"),
        pytest.param(("--store-timeout", "soon"), {}, "seconds above 0", id="no-number"),
    ],
)
def test_what_cannot_be_used_is_refused(flags, environ, words, capsys):
    if flags and flags[0] != "--store":
        flags = ("--store", "redis://store", *flags)

    with pytest.raises(SystemExit):
        parsed(*flags, **environ)

    told = capsys.readouterr().err
    assert words in told
    assert "hunter2" not in told


def test_a_password_from_two_places_is_refused(file, capsys):
    with pytest.raises(SystemExit):
        parsed("--store", "redis://store", "--store-password-file", str(file), TOLLGATE_STORE_PASSWORD="hunter2")

    assert "leave one of them out" in capsys.readouterr().err


def test_an_address_with_a_password_may_stand_in_the_environment():
    assert "hunter2" in parsed(TOLLGATE_STORE="redis://:hunter2@store").address
