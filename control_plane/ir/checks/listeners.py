"""Listeners that cannot all be bound."""

from collections.abc import Iterator
from ipaddress import ip_address

from control_plane.config import model as config
from control_plane.config.errors import Problem
from control_plane.ir.llm.endpoints import has_models
from service_kit.endpoint import TcpEndpoint


def listener_problems(source: config.Config) -> Iterator[Problem]:
    """What keeps listeners from being opened as written."""
    yield from _repeated_addresses(source)
    served = bool(source.routes) or has_models(source)
    if served and all(listener.https_redirect is not None for listener in source.listeners.values()):
        yield Problem(
            ("listeners",), "every listener redirects, so no route is served", "add one with `tls`", at_key=True
        )


def _repeated_addresses(source: config.Config) -> Iterator[Problem]:
    taken = [(source.admin.address, "admin")]
    for name, listener in source.listeners.items():
        for address, owner in taken:
            if _overlap(address, listener.address):
                yield Problem(
                    ("listeners", name, "address"),
                    f"{listener.address} takes the address of {owner}, {address}",
                    "choose another port",
                )
        taken.append((listener.address, f"listeners.{name}"))


def _overlap(first: TcpEndpoint, second: TcpEndpoint) -> bool:
    """Whether the two cannot both be bound; `[::]` takes IPv6 alone, as Envoy binds it."""
    hosts = {ip_address(first.host), ip_address(second.host)}
    same_family = len({host.version for host in hosts}) == 1
    return first.port == second.port and (
        len(hosts) == 1 or (same_family and any(host.is_unspecified for host in hosts))
    )
