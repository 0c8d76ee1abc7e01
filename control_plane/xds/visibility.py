"""Which groups of Envoys see a resource: a listener's own, and for what only such listeners need, theirs together."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from control_plane.ir.model import Gateway, Listener
from control_plane.xds import names
from control_plane.xds.secrets import listener_secrets

EVERYBODY: Final[frozenset[str]] = frozenset()
# Groups by type and name.
Visibility = Mapping[tuple[str, str], frozenset[str]]


def visibility(gateway: Gateway) -> Visibility:
    """The groups of every resource that not all Envoys see."""
    users: dict[tuple[str, str], list[frozenset[str]]] = {}
    for listener in gateway.listeners:
        for resource in _made_of(listener):
            users.setdefault(resource, []).append(listener.groups)
    return {resource: found for resource, groups in users.items() if (found := seen_by(groups))}


def seen_by(users: Iterable[frozenset[str]]) -> frozenset[str]:
    """The groups of those who need a thing, together; everybody where one of them is everybody's."""
    found = tuple(users)
    return EVERYBODY if EVERYBODY in found else EVERYBODY.union(*found)


def _made_of(listener: Listener) -> Iterator[tuple[str, str]]:
    yield names.LISTENER_TYPE, listener.name
    if listener.http3:
        yield names.LISTENER_TYPE, names.http3_listener(listener.name)
    if listener.https_redirect is not None:
        yield names.ROUTES_TYPE, names.https_redirect(listener.https_redirect)
    for secret in listener_secrets(listener):
        yield names.SECRET_TYPE, secret.name
