"""What must be true before anything is started; each failure is one line that names the cure.

Errors: PortInUse
"""

from collections.abc import Mapping
from pathlib import Path

from service_kit.endpoint import EndpointError, TcpEndpoint, listening_socket


class PortInUse(Exception):  # noqa: N818 - reads as what it reports
    """An address that the configuration names cannot be listened on."""

    def __init__(self, config: Path, key: str, error: EndpointError) -> None:
        super().__init__(f"{config}: {key}: {error}, or stop the process that has it")


def check_addresses(config: Path, listeners: Mapping[str, TcpEndpoint], admin: TcpEndpoint) -> None:
    """PortInUse where a listener or the admin address is taken.

    Envoy would not say so: it listens with SO_REUSEPORT, and would share the port with another Envoy.
    """
    for name, address in listeners.items():
        _check(config, f"listeners.{name}.address", address)
    _check(config, "admin.address", admin)


def _check(config: Path, key: str, address: TcpEndpoint) -> None:
    try:
        listening_socket(address).close()
    except EndpointError as error:
        raise PortInUse(config, key, error) from error
