import pytest
import structlog
from prometheus_client import CollectorRegistry

from authz_service.main import authorization_service, parsed_settings
from service_kit.contract import AUTHZ_POLICY_TYPE, BESIDE_TYPES

ARGUMENTS = ["--listen", "unix:/run/a.sock", "--control-plane", "127.0.0.1:1"]


def test_the_service_asks_for_its_own_policy():
    service = authorization_service(CollectorRegistry(), structlog.get_logger())

    assert (service.name, service.types) == ("authz_service", (AUTHZ_POLICY_TYPE, *BESIDE_TYPES))


def test_settings_come_from_flags_then_environment():
    settings, http = parsed_settings(ARGUMENTS, {"TOLLGATE_LISTEN": "127.0.0.1:2", "TOLLGATE_METRICS": "127.0.0.1:3"})

    assert (str(settings.listen), str(settings.metrics)) == ("unix:/run/a.sock", "127.0.0.1:3")
    assert http is None


def test_tokens_are_issued_on_a_socket_alone(capsys: pytest.CaptureFixture[str]):
    _, http = parsed_settings([*ARGUMENTS, "--http", "unix:/run/o.sock"], {})
    assert str(http) == "unix:/run/o.sock"

    with pytest.raises(SystemExit):
        parsed_settings([*ARGUMENTS, "--http", "127.0.0.1:4"], {})
    assert "in the clear" in capsys.readouterr().err


def test_a_missing_address_is_named(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parsed_settings([], {})

    assert "--listen" in capsys.readouterr().err
