"""What must be true before anything is started; each failure is one line that names the cure.

Errors: PortInUse
"""

from collections.abc import Callable, Collection, Mapping
from socket import socket

from service_kit.endpoint import EndpointError, TcpEndpoint, listening_socket, udp_socket


class PortInUse(Exception):  # noqa: N818 - reads as what it reports
    """An address that the configuration names cannot be listened on."""

    def __init__(self, config: str, key: str, error: EndpointError) -> None:
        super().__init__(f"{config}: {key}: {error}, or stop the process that has it")


def check_addresses(
    config: str, listeners: Mapping[str, TcpEndpoint], admin: TcpEndpoint, *, http3: Collection[str] = ()
) -> None:
    """PortInUse where a listener or the admin address is taken.

    Envoy would not say so: it listens with SO_REUSEPORT, and would share the port with another Envoy.
    """
    for name, address in listeners.items():
        _check(config, f"listeners.{name}.address", address)
        if name in http3:
            _check(config, f"listeners.{name}.http3", address, udp_socket)
    _check(config, "admin.address", admin)


def _check(
    config: str, key: str, address: TcpEndpoint, opened: Callable[[TcpEndpoint], socket] = listening_socket
) -> None:
    try:
        opened(address).close()
    except EndpointError as error:
        raise PortInUse(config, key, error) from error
