"""Routes that no request can tell apart: equally specific, and able to match the same one.

Only routes with something in common are compared, so that thousands of routes on one path, told apart by the value of a
header, cost no more than thousands of paths.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain

import re2

from control_plane.ir.conditions import are_told_apart
from control_plane.ir.model import Condition, PathKind, PathMatch, Route, TestKind
from control_plane.ir.order import ANY_HOST, specificity

# How much of an expression's possible matches is looked at.
RANGE_BYTES = 64

# A test of a header or of a parameter, by its name.
Tested = tuple[str, str]


def indistinct(routes: Iterable[Route]) -> Iterator[tuple[Route, Route]]:
    """Pairs of routes that may match the same request with the same specificity; each route is the second of one."""
    groups: dict[Hashable, list[Route]] = {}
    for route in routes:
        for key in groups_of(route):
            groups.setdefault(key, []).append(route)
    reported: set[str] = set()
    for group in groups.values():
        for late, earlier in _candidates(group):
            if late.name in reported:
                continue
            early = next((early for early in earlier if _may_share_a_request(early, late)), None)
            if early is not None:
                reported.add(late.name)
                yield early, late


def groups_of(route: Route) -> tuple[Hashable, ...]:
    """Two routes may match the same request with the same specificity only where they have a group in common."""
    alike = specificity(route), _shape(route.path)
    return tuple((host, *alike) for host in route.hosts or (ANY_HOST,))


def _shape(path: PathMatch) -> Hashable:
    """What paths of equal specificity have in common if they match the same; of expressions, nothing is known."""
    return None if path.kind is PathKind.REGEX else path.segments


def _candidates(group: Sequence[Route]) -> Iterator[tuple[Route, Iterable[Route]]]:
    """Each route of a group with those before it that may match the same requests."""
    if group[0].path.kind is PathKind.REGEX:
        return _by_range(group)
    return _by_value(group)


def _by_value(group: Sequence[Route]) -> Iterator[tuple[Route, Iterable[Route]]]:
    """By the header or parameter of which they want most different values."""
    wanted: dict[Tested, set[str]] = {}
    for route in group:
        for tested, value in _exact_values(route).items():
            wanted.setdefault(tested, set()).add(value)
    chosen = max(wanted, key=lambda tested: len(wanted[tested]), default=None)
    everything: list[Route] = []
    by_value: dict[str | None, list[Route]] = {None: []}
    for route in group:
        wants = None if chosen is None else _exact_values(route).get(chosen)
        yield route, everything if wants is None else chain(by_value.get(wants, ()), by_value[None])
        everything.append(route)
        by_value.setdefault(wants, []).append(route)


def _by_range(group: Sequence[Route]) -> Iterator[tuple[Route, Iterable[Route]]]:
    """Of expressions, only what they can begin with tells them apart."""
    under_way: list[Route] = []
    for route in sorted(group, key=lambda route: possible_matches(route.path.text)):
        least, _ = possible_matches(route.path.text)
        under_way = [other for other in under_way if possible_matches(other.path.text)[1] >= least]
        yield route, tuple(under_way)
        under_way.append(route)


def _exact_values(route: Route) -> dict[Tested, str]:
    return {**_values("header", route.headers), **_values("query", route.query)}


def _values(kind: str, conditions: Iterable[Condition]) -> dict[Tested, str]:
    return {(kind, item.name): item.value for item in conditions if item.kind is TestKind.EXACT}


@lru_cache(maxsize=16_384)
def possible_matches(expression: str) -> tuple[bytes, bytes]:
    """Bounds of all texts that the expression can match."""
    bounds: tuple[bytes, bytes] = re2.compile(expression).possiblematchrange(RANGE_BYTES)
    return bounds


def _may_share_a_request(first: Route, second: Route) -> bool:
    return _share_method(first, second) and not are_told_apart(first, second)


def _share_method(first: Route, second: Route) -> bool:
    if not first.methods or not second.methods:
        return True
    return not set(first.methods).isdisjoint(second.methods)
