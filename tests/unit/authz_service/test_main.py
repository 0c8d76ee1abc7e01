import pytest
import structlog
from prometheus_client import CollectorRegistry

from authz_service.main import authorization_service, parsed_settings
from service_kit.contract import AUTHZ_POLICY_TYPE

ARGUMENTS = ["--listen", "unix:/run/a.sock", "--control-plane", "127.0.0.1:1"]


def test_the_service_asks_for_its_own_policy():
    service = authorization_service(CollectorRegistry(), structlog.get_logger())

    assert (service.name, service.types) == ("authz_service", (AUTHZ_POLICY_TYPE,))


def test_settings_come_from_flags_then_environment():
    settings = parsed_settings(ARGUMENTS, {"TOLLGATE_LISTEN": "127.0.0.1:2", "TOLLGATE_METRICS": "127.0.0.1:3"})

    assert (str(settings.listen), str(settings.metrics)) == ("unix:/run/a.sock", "127.0.0.1:3")


def test_a_missing_address_is_named(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parsed_settings([], {})

    assert "--listen" in capsys.readouterr().err
