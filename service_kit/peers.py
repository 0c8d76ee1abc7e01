"""Who is at the other end of a connection over mutual TLS: what its certificate says that it may be.

The rule is in docs/fleets.md: a URI `spiffe://TRUST-DOMAIN/tollgate/ROLE[/GROUP]` or a DNS name
`ROLE[.GROUP].tollgate` among the subject's alternative names. A certificate may have several; other names mean nothing.
Only Envoys have groups.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast

import grpc
from cryptography import x509

from service_kit.certificate_names import UNREADABLE, alternative_names
from service_kit.contract import GROUP_PATTERN


class Role(StrEnum):
    """What a process is, in its certificate."""

    ENVOY = "envoy"
    SERVICE = "service"
    CONTROL_PLANE = "control-plane"
    ADMIN = "admin"


_ROLE: Final = f"(?P<role>{'|'.join(Role)})"
_GROUP: Final = f"(?P<group>{GROUP_PATTERN})"
_URI: Final = re.compile(rf"spiffe://[a-z0-9._-]{{1,255}}/tollgate/{_ROLE}(/{_GROUP})?")
_DNS: Final = re.compile(rf"{_ROLE}(\.{_GROUP})?\.tollgate")
# What gRPC's authentication context says of the certificate. The names that it lists itself end at a NUL: who holds
# `admin.tollgate<NUL>.example.org` would be an admin.
_CERTIFICATE: Final = "x509_pem_cert"

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True)
class Identity:
    """One thing that a peer may be; without a group, of any group."""

    role: Role
    group: str = ""


@dataclass(frozen=True)
class Peer:
    """What a certificate says, and the names in which it could say so."""

    identities: frozenset[Identity]
    names: tuple[str, ...] = ()

    def may_be(self, role: Role, group: str = "") -> bool:
        """Whether it may act as this, in this group of nodes; a certificate for one group is for no other, nor none."""
        return bool(self.identities & {Identity(role), Identity(role, group)})

    def is_a(self, role: Role) -> bool:
        """Whether it has the role, in whichever group."""
        return any(identity.role == role for identity in self.identities)


def peer_of(context: Context) -> Peer | None:
    """The peer of a call; None on a Unix socket, where the socket's mode is the authentication."""
    if context.peer().startswith("unix:"):
        return None
    uris, dns = _names(context.auth_context().get(_CERTIFICATE, ()))
    return Peer(frozenset((*_identities(uris, _URI), *_identities(dns, _DNS))), (*uris, *dns))


def _names(certificates: Iterable[bytes | str]) -> tuple[list[str], list[str]]:
    """The URIs and the DNS names of a certificate, whole; none where it cannot be read."""
    for pem in certificates:
        try:
            found = x509.load_pem_x509_certificate(pem if isinstance(pem, bytes) else pem.encode())
            names = alternative_names(found)
        except UNREADABLE:
            break
        return (
            names.get_values_for_type(x509.UniformResourceIdentifier),
            names.get_values_for_type(x509.DNSName),
        )
    return [], []


def refusal(peer: Peer, role: Role, group: str = "") -> str:
    """Why the peer may not act as this, and how its certificate would allow it."""
    held = ", ".join(sorted(peer.names)) or "no names that count"
    uri, dns = "/".join(filter(None, (role, group))), ".".join(filter(None, (role, group)))
    who = f"as {role} of group {group!r}" if group else f"as {role}"
    return (
        f"the certificate does not let its holder act {who}: it has {held}; "
        f"issue one with URI:spiffe://TRUST-DOMAIN/tollgate/{uri} or DNS:{dns}.tollgate among its alternative names"
    )


class Guarded(grpc.GenericRpcHandler):
    """Calls that only peers of some roles may make; others are told how to be one."""

    def __init__(self, inner: grpc.GenericRpcHandler, *roles: Role) -> None:
        self._inner = inner
        self._roles = roles
        self._guarded: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        method = handler_call_details.method
        if method not in self._guarded:
            found = self._inner.service(handler_call_details)
            if found is None:
                return None
            self._guarded[method] = self._behind_the_check(found)
        return self._guarded[method]

    def _behind_the_check(self, found: "grpc.RpcMethodHandler[Any, Any]") -> "grpc.RpcMethodHandler[Any, Any]":
        coding = (found.request_deserializer, found.response_serializer)
        if found.request_streaming and found.response_streaming:
            return grpc.stream_stream_rpc_method_handler(self._checked_stream(found), *coding)
        if found.request_streaming or found.response_streaming:
            raise TypeError("calls that stream one way are not guarded yet")
        return grpc.unary_unary_rpc_method_handler(self._checked_call(found), *coding)

    def _checked_call(self, found: "grpc.RpcMethodHandler[Any, Any]") -> Callable[..., Awaitable[Any]]:
        answer = cast("Callable[[Any, Context], Awaitable[Any]]", found.unary_unary)  # the stubs know threads alone

        async def checked(request: Any, context: Context) -> Any:  # Any: whatever the method takes and gives
            await self._check(context)
            return await answer(request, context)

        return checked

    def _checked_stream(self, found: "grpc.RpcMethodHandler[Any, Any]") -> Callable[..., AsyncIterator[Any]]:
        answers = cast("Callable[[Any, Context], AsyncIterator[Any]]", found.stream_stream)  # as above

        async def checked(requests: Any, context: Context) -> AsyncIterator[Any]:  # Any: as above
            await self._check(context)
            async for answer in answers(requests, context):
                yield answer

        return checked

    async def _check(self, context: Context) -> None:
        peer = peer_of(context)
        if peer is not None and not any(peer.is_a(role) for role in self._roles):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, refusal(peer, self._roles[0]))


def _identities(names: Iterable[str], pattern: re.Pattern[str]) -> Iterable[Identity]:
    for name in names:
        if found := pattern.fullmatch(name):
            identity = Identity(Role(found["role"]), found["group"] or "")
            if identity.role is Role.ENVOY or not identity.group:
                yield identity
