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
    CLIENT_ADDRESS_HEADER,
    CREDENTIAL_ANONYMOUS,
    CREDENTIAL_API_KEY,
    CREDENTIAL_BEARER,
    CREDENTIAL_JWT,
    CREDENTIAL_MTLS,
    DIALECT_OLLAMA,
    DIALECT_OPENAI,
    EXTENSION_ACCEPT,
    EXTENSION_DIALECT,
    EXTENSION_MODE,
    EXTENSION_PLANS,
    EXTENSION_PROFILE,
    EXTENSION_ROLES,
    EXTENSION_ROUTE,
    EXTENSION_SCOPES,
    EXTENSIONS,
    MISSING,
    MODE_ENFORCE,
    MODE_REPORT,
    REQUEST_ID_HEADER,
)
from service_kit.identity_part import UnusablePart, identity_part

KINDS: Final = frozenset({CREDENTIAL_JWT, CREDENTIAL_BEARER, CREDENTIAL_API_KEY, CREDENTIAL_MTLS, CREDENTIAL_ANONYMOUS})
DIALECTS: Final = frozenset({DIALECT_OPENAI, DIALECT_OLLAMA})
# RFC 6749 3.3: what a scope may be made of; it is echoed in a quoted string of WWW-Authenticate.
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_LONGEST_REQUEST_ID: Final = 128


@dataclass(frozen=True, slots=True)
class Ask:
    """One question of Envoy's: whether a request with these headers may pass on this route.

    `accept` names kinds of credential; `anonymous` says that a request may have none. With `report` the demands are
    judged and not enforced. `certificate` is that of the connection as Envoy encodes it, verified, or empty.
    """

    request_id: str
    route: str
    profile: str
    accept: frozenset[str]
    anonymous: bool
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    plans: tuple[str, ...]
    report: bool
    path: str = field(repr=False)
    certificate: str = field(repr=False)
    headers: tuple[tuple[str, bytes], ...] = field(repr=False)
    # Whose errors the client reads; None: the gateway's own.
    dialect: str | None = None

    @property
    def client(self) -> str:
        """The client's address as Envoy found it; empty where there is none, or more than one."""
        values = self.header(CLIENT_ADDRESS_HEADER)
        return values[0].decode("ascii", "replace") if len(values) == 1 else ""

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
        return _ask(request_id, message.attributes, headers)
    except _Unreadable as error:
        return Skew(request_id, str(error))


def _ask(request_id: str, attributes: attribute_pb.AttributeContext, headers: tuple[tuple[str, bytes], ...]) -> Ask:
    demands = attributes.context_extensions
    if not EXTENSIONS.issuperset(demands):
        raise _Unreadable("the route makes a demand of a kind this authorizer does not know")
    accept = frozenset(_words(demands, EXTENSION_ACCEPT))
    if not accept - {CREDENTIAL_ANONYMOUS} or not accept <= KINDS:
        raise _Unreadable("the route accepts no kind of credential that this authorizer knows")
    scopes = _words(demands, EXTENSION_SCOPES)
    if not all(_SCOPE.fullmatch(scope) for scope in scopes):
        raise _Unreadable("the route demands a scope that is none by RFC 6749")
    return Ask(
        request_id=request_id,
        route=_name(demands, EXTENSION_ROUTE),
        profile=_name(demands, EXTENSION_PROFILE),
        accept=accept - {CREDENTIAL_ANONYMOUS},
        anonymous=CREDENTIAL_ANONYMOUS in accept,
        scopes=scopes,
        roles=_words(demands, EXTENSION_ROLES),
        plans=_words(demands, EXTENSION_PLANS),
        report=_mode(demands) == MODE_REPORT,
        path=attributes.request.http.path,
        certificate=attributes.source.certificate,
        headers=headers,
        dialect=_dialect(demands),
    )


def _words(demands: Mapping[str, str], key: str) -> tuple[str, ...]:
    return tuple(word for word in demands.get(key, "").split(" ") if word)


def _mode(demands: Mapping[str, str]) -> str:
    mode = demands.get(EXTENSION_MODE, MODE_ENFORCE)
    if mode not in (MODE_ENFORCE, MODE_REPORT):
        raise _Unreadable("the route's demands are kept in a way that this authorizer does not know")
    return mode


def _dialect(demands: Mapping[str, str]) -> str | None:
    dialect = demands.get(EXTENSION_DIALECT)
    if dialect is not None and dialect not in DIALECTS:
        raise _Unreadable("the route's clients speak an API that this authorizer does not know")
    return dialect


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
