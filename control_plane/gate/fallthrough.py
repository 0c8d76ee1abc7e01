"""Where requests go when a route stays as it was, or away, while others of the same edit go live.

Each request that a held route takes, or took, must be answered as it was before the edit. Whatever may not be so counts
as not so: expressions are compared by what they can begin with, hosts and conditions only where they exclude each other
for certain.
"""

from collections.abc import Iterable, Mapping
from itertools import product

from control_plane.ir.conditions import are_told_apart
from control_plane.ir.model import NOBODY, PathKind, PathMatch, Route
from control_plane.ir.order import specificity
from control_plane.ir.overlap import possible_matches

# A route before the edit and after it; None where there is none.
Versions = tuple[Route | None, Route | None]

PREFLIGHT = "OPTIONS"
HIGHEST = b"\xff"
# More pairs than this are not compared; a larger edit is held as a whole.
MOST_PAIRS = 250_000


def opened_by(held: Mapping[str, Versions], others: Mapping[str, Versions]) -> tuple[str, str] | None:
    """A held route and another route of the edit that would get requests of its, or lose some to it; None if none."""
    if len(held) * len(others) > MOST_PAIRS:
        return next(iter(held)), next(iter(others))
    for (name, versions), (other, its_versions) in product(held.items(), others.items()):
        if _opens(versions, its_versions):
            return name, other
    return None


def _opens(held: Versions, other: Versions) -> bool:
    """Whether some request would be answered neither as before the edit nor as the edit means it."""
    old, new = held
    before, now = other
    as_ever = _same_requests(before, now)
    gone = None if as_ever else before  # what it took is taken by whoever comes next
    falls_to_old = _share(old, gone) and not _wins(old, gone)
    if _same_requests(old, new):
        return falls_to_old
    falls_to_other = _share(new, now) and not _wins(now, new) and not _is_closed(now)
    kept_from_other = _share(old, now) and not _wins(now, old) and not as_ever
    return falls_to_old or falls_to_other or kept_from_other or _share(new, gone)


def _same_requests(first: Route | None, second: Route | None) -> bool:
    return first is not None and second is not None and _match(first) == _match(second)


def _is_closed(route: Route | None) -> bool:
    """Whether the route answers nobody: the last one of calls of models, which refuses what no model takes."""
    action = None if route is None else route.forward
    return action is not None and all(item.upstream == NOBODY for item in action.destinations)


def _match(route: Route) -> tuple[object, ...]:
    tests = route.headers, route.query, route.asked, route.of_plans
    return route.path, route.methods, route.hosts, tests, route.priority, route.cors is None


def _wins(first: Route | None, second: Route | None) -> bool:
    """Whether the first comes first for certain, wherever both match."""
    if first is None or second is None:
        return False
    if first.hosts == second.hosts:
        return specificity(first) > specificity(second)
    return bool(first.hosts) and not second.hosts


def _share(first: Route | None, second: Route | None) -> bool:
    """Whether some request may match both."""
    return (
        first is not None
        and second is not None
        and _share_host(first.hosts, second.hosts)
        and _share_method(first, second)
        and _share_path(first.path, second.path)
        and not are_told_apart(first, second)
    )


def _share_host(first: Iterable[str], second: Iterable[str]) -> bool:
    pairs = tuple(product(first, second))
    return not pairs or any(_covers(one, other) or _covers(other, one) for one, other in pairs)


def _covers(host: str, other: str) -> bool:
    return host == other or (host.startswith("*.") and other.endswith(host[1:]))


def _share_method(first: Route, second: Route) -> bool:
    one, other = _methods(first), _methods(second)
    return not one or not other or not one.isdisjoint(other)


def _methods(route: Route) -> frozenset[str]:
    """Those of the route and of the preflights that it answers; none stands for all."""
    return frozenset((*route.methods, PREFLIGHT)) if route.methods and route.cors else frozenset(route.methods)


def _share_path(first: PathMatch, second: PathMatch) -> bool:
    if PathKind.REGEX in (first.kind, second.kind):
        (least, most), (other_least, other_most) = _range(first), _range(second)
        return least <= other_most and other_least <= most
    one, other = first.segments, second.segments
    if len(one) > len(other):
        first, second, one, other = second, first, other, one
    if len(one) < len(other) and first.kind is not PathKind.PREFIX:
        return False
    return all(part == its or None in (part, its) for part, its in zip(one, other, strict=False))


def _range(path: PathMatch) -> tuple[bytes, bytes]:
    """Bounds of all paths that match."""
    if path.kind is PathKind.REGEX:
        return possible_matches(path.text)
    text = path.text.encode()
    if path.kind is PathKind.EXACT:
        return text, text
    literal = text.split(b"{", maxsplit=1)[0]
    return literal, literal + HIGHEST
