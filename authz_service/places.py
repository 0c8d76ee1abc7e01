"""Where a request may carry credentials, and what is left of the request without one of them.

Everything that stands in such a place is a credential, also where its kind is not the route's: none may reach an
upstream beside the one that was checked. Names of parameters are compared as upstreams read them, decoded. Some divide
a query at `;` as well: what they would read as a credential and others would not is two, so never the only one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from authz_service.keys import KeySettings
from authz_service.request import Ask

AUTHORIZATION: Final = "authorization"
PATH: Final = ":path"
COOKIE: Final = "cookie"


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a header where the upstream must not see the credential in it; None: it is removed."""

    header: str
    value: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in a place of credentials."""

    value: bytes = field(repr=False)
    without: Change

    @property
    def in_authorization(self) -> bool:
        return self.without.header == AUTHORIZATION


def found_in(ask: Ask, settings: KeySettings | None) -> Iterator[Found]:
    """Everything in a request that claims to be a credential."""
    headers = () if settings is None else settings.headers
    for name in dict.fromkeys((AUTHORIZATION, *headers)):
        yield from _in_header(ask, name)
    if settings is not None and settings.query is not None:
        yield from _in_query(ask.path, settings.query)
    if settings is not None and settings.cookie is not None:
        yield from _in_cookies(ask.header(COOKIE), settings.cookie)


def _in_header(ask: Ask, name: str) -> Iterator[Found]:
    """Envoy joins repeated headers that it knows by a comma, even where it hands over raw ones."""
    for value in ask.header(name):
        yield from (Found(part, Change(name)) for part in value.split(b","))


def _in_query(path: str, name: str) -> Iterator[Found]:
    before, _, query = path.partition("?")
    fields = query.split("&") if query else []
    for index, text in enumerate(fields):
        if values := _values(text, name):
            rest = "&".join(fields[:index] + fields[index + 1 :])
            yield from (Found(value, Change(PATH, f"{before}?{rest}" if rest else before)) for value in values)


def _values(text: str, name: str) -> tuple[bytes, ...]:
    """What stands between two `&` for the parameter: where there is a `;`, in both ways of reading it."""
    parts = text.split(";")
    pairs = (part.partition("=") for part in parts)
    found = tuple(_decoded(value) for key, _, value in pairs if _decoded(key) == name.encode())
    return (*found, _decoded(text.partition("=")[2])) if found and len(parts) > 1 else found


def _decoded(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))


def _in_cookies(headers: tuple[bytes, ...], name: str) -> Iterator[Found]:
    """RFC 6265, 4.2.1 and 4.1.1: pairs between semicolons, a value perhaps in quotes."""
    pairs = [pair.strip(b" \t") for header in headers for pair in header.split(b";")]
    for index, pair in enumerate(pairs):
        key, _, value = pair.partition(b"=")
        if key.rstrip(b" \t") == name.encode():
            rest = b"; ".join(other for at, other in enumerate(pairs) if at != index and other)
            yield Found(_unquoted(value.strip(b" \t")), Change(COOKIE, rest.decode("utf-8", "replace") or None))


def _unquoted(value: bytes) -> bytes:
    return value[1:-1] if len(value) > 1 and value.startswith(b'"') and value.endswith(b'"') else value
