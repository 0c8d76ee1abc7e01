"""Headers and query parameters: tests that would not see what the client sent, and changes that would not last."""

import re
from collections.abc import Iterable, Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from service_kit import contract

# RFC 9110, 7.6.1, and what frames a message: of one connection, so Envoy writes its own.
OF_THE_CONNECTION = frozenset({
    "connection", "content-length", "http2-settings", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
# What ext_authz takes away, and what Envoy writes before it chooses a route.
OF_THE_GATEWAY = frozenset({"authorization", "x-forwarded-proto"})
OURS = (*contract.CLIENT_FORBIDDEN_HEADERS, f"{contract.INTERNAL_HEADER_PREFIX}.*", contract.REQUEST_ID_HEADER)
INTERNAL = re.compile(rf"x[^a-z0-9]+tollgate([^a-z0-9].*)?|{contract.REQUEST_ID_HEADER}")
# What arrives in a query (RFC 3986, 3.4), but for what ends a parameter or its name.
QUERY_VALUE = re.compile(r"[A-Za-z0-9._~!$'()*,;:@/?%+=-]*")
QUERY_NAME = re.compile(r"[A-Za-z0-9._~!$'()*,;:@/?%+-]*")


def header_problems(route: config.Route, path: Path) -> Iterator[Problem]:
    """What a route says about headers and parameters that it could not keep."""
    yield from _header_problems(route.match, (*path, "match", "headers"))
    yield from _query_problems(route.match, (*path, "match", "query"))
    yield from _request_problems(route.request_headers, (*path, "request_headers"))
    yield from response_problems(route.response_headers, (*path, "response_headers"))


def _header_problems(match: config.Match, path: Path) -> Iterator[Problem]:
    for name, test in match.headers.items():
        if name == "host":
            yield Problem((*path, name), "the host has a key of its own", "write `hosts`", at_key=True)
        elif name in OF_THE_CONNECTION | OF_THE_GATEWAY or is_ours(name):
            message = f"{name!r} is set or removed by the gateway: no route may depend on it"
            yield Problem((*path, name), message, "choose a header of the client", at_key=True)
        for key, value in _texts(test):
            if key in ((), ("exact",)) and value != value.strip():
                message = "no header has spaces around its value"
                yield Problem((*path, name, *key), message, f"write {value.strip()!r}")


def _query_problems(match: config.Match, path: Path) -> Iterator[Problem]:
    for name, test in match.query.items():
        if not QUERY_NAME.fullmatch(name):
            yield Problem((*path, name), *_not_sent(name), at_key=True)
        for key, value in _texts(test):
            if not QUERY_VALUE.fullmatch(value):
                yield Problem((*path, name, *key), *_not_sent(value))


def _texts(test: str | config.TextMatch) -> Iterable[tuple[Path, str]]:
    """The texts in a test that are compared as they stand, with their keys."""
    if isinstance(test, str):
        return [((), test)]
    written = test.model_dump(exclude_unset=True, exclude={"regex", "present"})
    return [((key,), value) for key, value in written.items()]


def _not_sent(text: str) -> tuple[str, str]:
    return f"{text!r} never stands in a query like this", "write it as it is sent: a space is %20, & is %26"


def _request_problems(changes: config.HeaderChanges, path: Path) -> Iterator[Problem]:
    for place, name in _changed(changes):
        if name == "host":
            yield _cannot(path, place, name, "write `host_header` at the upstream")
        elif name in OF_THE_CONNECTION or INTERNAL.fullmatch(name):
            yield _cannot(path, place, name, "drop it: the gateway writes its own")
        elif place[0] != "remove" and name == "authorization":
            yield _cannot(path, place, name, "write the upstream's `credential`, which is kept secret")
        elif place[0] != "remove" and (name in OF_THE_GATEWAY or is_ours(name)):
            yield _cannot(path, place, name, "choose another name")


def response_problems(changes: config.HeaderChanges, path: Path) -> Iterator[Problem]:
    """What a route says about headers of answers that it could not keep."""
    for place, name in _changed(changes):
        if name in OF_THE_CONNECTION | {"server"} or is_ours(name):
            yield _cannot(path, place, name, "drop it: the gateway writes its own")


def _changed(changes: config.HeaderChanges) -> Iterator[tuple[Path, str]]:
    yield from (((kind, name), name) for kind in ("set", "add") for name in getattr(changes, kind))
    yield from ((("remove", index), name) for index, name in enumerate(changes.remove))


def _cannot(path: Path, place: Path, name: str, cure: str) -> Problem:
    verb = "removed" if place[0] == "remove" else place[0] if place[0] == "set" else "added"
    return Problem((*path, *place), f"{name!r} cannot be {verb} here", cure, at_key=place[0] != "remove")


def is_ours(name: str) -> bool:
    """Whether no client may bring it."""
    return any(re.fullmatch(pattern, name) for pattern in OURS)
