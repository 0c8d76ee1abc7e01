"""Settings from flags and environment."""

import pytest

from ratelimit_service.main import parsed_settings

REQUIRED = ["--listen", "unix:/run/limits.sock", "--control-plane", "unix:/run/xds.sock"]


def test_the_store_comes_from_a_flag_or_the_environment():
    assert parsed_settings([*REQUIRED, "--store", "unix:/s"], {})[1] == "unix:/s"
    assert parsed_settings(REQUIRED, {"TOLLGATE_STORE": "redis://store"})[1] == "redis://store"


def test_without_a_store_it_does_not_start(capsys):
    with pytest.raises(SystemExit):
        parsed_settings(REQUIRED, {})

    assert "--store is missing" in capsys.readouterr().err
