from pathlib import Path

import pytest

from service_kit.endpoint import TcpEndpoint, listening_socket
from tests.support.ports import free_port
from tollgate_cli.supervisor.preflight import PortInUse, check_addresses

CONFIG = Path("gateway.yaml")


@pytest.fixture
def free():
    return TcpEndpoint("127.0.0.1", free_port())


@pytest.fixture
def taken():
    endpoint = TcpEndpoint("127.0.0.1", free_port())
    with listening_socket(endpoint):
        yield endpoint


def test_free_addresses_pass_and_stay_free(free):
    check_addresses(CONFIG, {"public": free}, free)
    check_addresses(CONFIG, {"public": free}, free)


def test_a_taken_listener_is_one_line_with_address_key_and_cure(free, taken):
    with pytest.raises(PortInUse) as caught:
        check_addresses(CONFIG, {"public": taken}, free)

    message = str(caught.value)
    assert message.startswith(
        f"gateway.yaml: listeners.public.address: cannot listen on {taken}: Address already in use"
    )
    assert "choose another address" in message
    assert "\n" not in message


def test_the_admin_address_is_checked_too(free, taken):
    with pytest.raises(PortInUse, match=r"admin\.address"):
        check_addresses(CONFIG, {"public": free}, taken)
