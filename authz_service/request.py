"""Reads Envoy's CheckRequest into the few things a decision needs: the route's demands and the client's headers.

The demands come from the compiled route alone (`context_extensions`), never from the path. What this process cannot
read, it cannot enforce: an unknown key or kind of credential is a `Skew`, answered 503 and never yes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from envoy.service.auth.v3 import attribute_context_pb2 as attribute_pb
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb
from google.protobuf.message import DecodeError

from service_kit.contract import (
    CREDENTIAL_BEARER,
    CREDENTIAL_JWT,
    EXTENSION_ACCEPT,
    EXTENSION_PROFILE,
    EXTENSION_ROLES,
    EXTENSION_ROUTE,
    EXTENSION_SCOPES,
    EXTENSIONS,
    MISSING,
    REQUEST_ID_HEADER,
)
from service_kit.identity_part import UnusablePart, identity_part

KINDS: Final = frozenset({CREDENTIAL_JWT, CREDENTIAL_BEARER})
# RFC 6749 3.3: what a scope may be made of; it is echoed in a quoted string of WWW-Authenticate.
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_LONGEST_REQUEST_ID: Final = 128


@dataclass(frozen=True, slots=True)
class Ask:
    """One question of Envoy's: whether a request with these headers may pass on this route."""

    request_id: str
    route: str
    profile: str
    accept: frozenset[str]
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    headers: tuple[tuple[str, bytes], ...] = field(repr=False)

    def header(self, name: str) -> tuple[bytes, ...]:
        """Every value of the header, in the client's order."""
        return tuple(value for key, value in self.headers if key == name)


@dataclass(frozen=True, slots=True)
class Skew:
    """A question that this process does not understand: its version or its policy is not Envoy's."""

    request_id: str
    reason: str


class _Unreadable(Exception):  # noqa: N818 - becomes a Skew in parse_ask
    pass


def parse_ask(data: bytes) -> Ask | Skew:
    """The question in a serialized CheckRequest."""
    message = auth_pb.CheckRequest()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return Skew(MISSING, "the request is no CheckRequest")
    headers = tuple(_headers(message.attributes.request.http))
    request_id = _request_id(message.attributes.request.http, headers)
    try:
        return _ask(request_id, message.attributes.context_extensions, headers)
    except _Unreadable as error:
        return Skew(request_id, str(error))


def _ask(request_id: str, demands: Mapping[str, str], headers: tuple[tuple[str, bytes], ...]) -> Ask:
    if not EXTENSIONS.issuperset(demands):
        raise _Unreadable("the route makes a demand of a kind this authorizer does not know")
    accept = frozenset(_words(demands, EXTENSION_ACCEPT))
    if not accept or not accept <= KINDS:
        raise _Unreadable("the route accepts no kind of credential that this authorizer knows")
    scopes = _words(demands, EXTENSION_SCOPES)
    if not all(_SCOPE.fullmatch(scope) for scope in scopes):
        raise _Unreadable("the route demands a scope that is none by RFC 6749")
    return Ask(
        request_id=request_id,
        route=_name(demands, EXTENSION_ROUTE),
        profile=_name(demands, EXTENSION_PROFILE),
        accept=accept,
        scopes=scopes,
        roles=_words(demands, EXTENSION_ROLES),
        headers=headers,
    )


def _words(demands: Mapping[str, str], key: str) -> tuple[str, ...]:
    return tuple(word for word in demands.get(key, "").split(" ") if word)


def _name(demands: Mapping[str, str], key: str) -> str:
    """A name that reads the same in a header: the profile guard of the route compares it character by character."""
    name = demands.get(key, "")
    try:
        if identity_part(name) == name:
            return name
    except UnusablePart:
        pass
    raise _Unreadable(f"the route names no usable {key}")


def _headers(request: attribute_pb.AttributeContext.HttpRequest) -> Iterator[tuple[str, bytes]]:
    """Header names in lower case with their raw values; repeated headers stay apart (`encode_raw_headers`)."""
    for header in request.header_map.headers:
        yield header.key.lower(), header.raw_value or header.value.encode()
    for key, value in request.headers.items():
        yield key.lower(), value.encode()


def _request_id(request: attribute_pb.AttributeContext.HttpRequest, headers: tuple[tuple[str, bytes], ...]) -> str:
    """The id that Envoy logs; its `id` attribute, a stream number, only where the header is missing."""
    values = [value for key, value in headers if key == REQUEST_ID_HEADER]
    text = values[0].decode("ascii", "replace") if values else request.id
    return text[:_LONGEST_REQUEST_ID] or MISSING
