"""Which route wins: the most specific one, whatever the order in the file.

Host before path, path before conditions, conditions before methods: an exact host beats `*.suffix`, a longer suffix a
shorter one, any host comes last. An exact path beats a template, a template an expression, an expression a prefix; of
two templates or prefixes, the one that first has a literal segment where the other has a variable or nothing wins. More
tests of headers and query parameters beat fewer, and what a body names, or the caller's plan, is such a test; a route
that names methods beats one that takes all. Routes that are equally specific and may match the same request are an
error, unless their priorities differ.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from control_plane.ir.conditions import asks_for_a_model
from control_plane.ir.model import PathKind, Route

ANY_HOST = "*"
# How specific each kind of path is.
KINDS = {PathKind.EXACT: 3, PathKind.TEMPLATE: 2, PathKind.REGEX: 1, PathKind.PREFIX: 0}

# Greater is more specific: kind and segments of the path, number of conditions, methods named, priority.
Specificity = tuple[int, tuple[bool, ...], int, bool, int]
# The same turned round, and the name.
Rank = tuple[int, tuple[int, ...], int, bool, int, str]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A route and its place among others."""

    route: Route
    rank: Rank


def specificity(route: Route) -> Specificity:
    """Comparable among routes of one host: greater is more specific."""
    literal = () if route.path.kind is PathKind.REGEX else tuple(part is not None for part in route.path.segments)
    conditions = len(route.headers) + len(route.query) + asks_for_a_model(route) + bool(route.of_plans)
    return (KINDS[route.path.kind], literal, conditions, bool(route.methods), route.priority)


def ordered(routes: Iterable[Route]) -> tuple[Route, ...]:
    """Routes in the order in which they are tried; names break ties between routes that no request can confuse."""
    return tuple(sorted(routes, key=rank))


def rank(route: Route) -> Rank:
    """The lesser is tried first: the more specific, and of equally specific ones the first by name."""
    kind, literal, conditions, methods, priority = specificity(route)
    # A segment that one path has and the other lacks makes it more specific, whatever it is.
    segments = (*(0 if part else 1 for part in literal), 2)
    return (-kind, segments, -conditions, not methods, -priority, route.name)


def covering_hosts(domain: str) -> Iterator[str]:
    """Hosts whose routes take requests that Envoy's virtual host `domain` receives; the most specific first."""
    if domain != ANY_HOST:
        yield domain
        labels = domain.removeprefix("*.").split(".")
        yield from ("*." + ".".join(labels[first:]) for first in range(1, len(labels)))
    yield ANY_HOST
