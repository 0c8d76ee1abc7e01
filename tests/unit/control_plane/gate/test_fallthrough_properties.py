"""Whatever is held back of whatever edit: each request is answered as it was before, or as the edit means it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

import re2
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from control_plane.gate.parts import ROUTES, Part
from control_plane.gate.quarantine import Inseparable, held_back
from control_plane.ir.model import Condition, Gateway, PathKind, PathMatch, Route, TestKind
from control_plane.ir.order import ordered, specificity
from control_plane.ir.overlap import indistinct
from tests.support.representation import a_route

EMPTY = Gateway(
    listeners=(), upstreams=(), routes=(), jwt=(), bearer_tokens=(), plans=(), consumers=(), default_plan=None
)
PATHS = (
    PathMatch("/", PathKind.PREFIX),
    PathMatch("/a", PathKind.PREFIX),
    PathMatch("/a/b", PathKind.PREFIX),
    PathMatch("/{x}/b", PathKind.PREFIX),
    PathMatch("/a", PathKind.EXACT),
    PathMatch("/a/b", PathKind.EXACT),
    PathMatch("/a/{x}", PathKind.TEMPLATE),
    PathMatch("/{x}/b", PathKind.TEMPLATE),
    PathMatch("/a/[bc]", PathKind.REGEX),
    PathMatch("/(a|c)", PathKind.REGEX),
)
HOSTS = ((), ("x.test",), ("*.test",), ("x.test", "y.test"))
METHODS = ((), ("GET",), ("POST",), ("GET", "POST"))
HEADERS = ((), (Condition("v", TestKind.EXACT, "1"),), (Condition("v", TestKind.PRESENT),))


@dataclass(frozen=True)
class Request:
    path: str
    host: str
    method: str
    version: str | None


REQUESTS = tuple(
    Request(*values)
    for values in product(
        ("/", "/a", "/b", "/c", "/a/b", "/a/c", "/c/b", "/a/b/c"), ("x.test", "y.test", "z.example"), ("GET", "POST"),
        (None, "1", "2"),
    )
)  # fmt: skip

MATCHES = st.fixed_dictionaries(
    {
        "path": st.sampled_from(PATHS),
        "hosts": st.sampled_from(HOSTS),
        "methods": st.sampled_from(METHODS),
        "headers": st.sampled_from(HEADERS),
        # Anything else that an edit may change.
        "cost": st.integers(1, 2),
    }
)
NAMES = "abcd"
ROUTES_BY_NAME = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, MATCHES))
# What becomes of routes: a new cost, other requests, or none at all.
EDITS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, st.one_of(st.just({"cost": 3}), MATCHES, st.none())))
BLAMED = st.sets(st.sampled_from(NAMES), min_size=1, max_size=2)
Written = dict[str, dict[str, object]]


def edited(before: Written, edits: dict[str, dict[str, object] | None]) -> Written:
    found = before | {name: before.get(name, {}) | edit for name, edit in edits.items() if edit is not None}
    return {name: written for name, written in found.items() if "path" in written and edits.get(name, {}) is not None}


def gateway(written: Written) -> Gateway:
    routes = [a_route(name=name, **changes) for name, changes in written.items()]
    assume(not list(indistinct(routes)))
    return replace(EMPTY, routes=ordered(routes))


def winner(routes: Iterable[Route], request: Request) -> Route | None:
    """The route that takes a request: that of the nearest host, of those the most specific."""
    taken = [
        (host, specificity(route), route)
        for route in routes
        if (host := nearest_host(route, request.host)) is not None and takes(route, request)
    ]
    return max(taken, key=lambda item: item[:2], default=(None, None, None))[2]


def nearest_host(route: Route, host: str) -> tuple[int, int] | None:
    """How near the route's hosts come to this one, greater is nearer; None where none does."""
    if not route.hosts:
        return 0, 0
    found = [(2, 0) if own == host else (1, len(own)) for own in route.hosts if own == host or suffixes(own, host)]
    return max(found, default=None)


def suffixes(own: str, host: str) -> bool:
    return own.startswith("*.") and host.endswith(own[1:])


def takes(route: Route, request: Request) -> bool:
    return (
        (not route.methods or request.method in route.methods)
        and takes_path(route.path, request.path)
        and all(request.version is not None and test.value in ("", request.version) for test in route.headers)
    )


def takes_path(path: PathMatch, asked: str) -> bool:
    if path.kind is PathKind.REGEX:
        return re2.fullmatch(path.text, asked) is not None
    segments = tuple(asked.split("/")[1:])
    if path.kind is PathKind.PREFIX:
        segments = segments[: len(path.segments)]
    same = len(segments) == len(path.segments)
    return same and all(own in (None, part) for own, part in zip(path.segments, segments, strict=True))


@settings(max_examples=300, deadline=None)
@given(before=ROUTES_BY_NAME, edits=EDITS, blamed=BLAMED)
def test_every_request_is_answered_as_before_or_as_meant(
    before: Written, edits: dict[str, dict[str, object] | None], blamed: set[str]
) -> None:
    old, new = gateway(before), gateway(edited(before, edits))
    try:
        found = held_back(new, old, {Part(ROUTES, name): "bad" for name in blamed}).gateway
    except Inseparable:
        return

    for request in REQUESTS:
        answered = winner(found.routes, request)
        assert answered in (winner(old.routes, request), winner(new.routes, request)), request


@settings(max_examples=150, deadline=None)
@given(before=ROUTES_BY_NAME, edits=EDITS, blamed=BLAMED)
def test_what_goes_live_could_have_been_written(
    before: Written, edits: dict[str, dict[str, object] | None], blamed: set[str]
) -> None:
    old, new = gateway(before), gateway(edited(before, edits))
    try:
        found = held_back(new, old, {Part(ROUTES, name): "bad" for name in blamed}).gateway
    except Inseparable:
        return

    assert list(indistinct(found.routes)) == []
    assert found.routes == ordered(found.routes)
