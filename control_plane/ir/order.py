"""Which route wins: the most specific one, whatever the order in the file.

Host before path, path before conditions, conditions before methods: an exact host beats `*.suffix`, a longer suffix a
shorter one, any host comes last. An exact path beats a template, a template an expression, an expression a prefix; of
two templates or prefixes, the one that first has a literal segment where the other has a variable or nothing wins. More
tests of headers and query parameters beat fewer; a route that names methods beats one that takes all. Routes that are
equally specific and may match the same request are an error, unless their priorities differ.
"""

from collections.abc import Iterable

from control_plane.ir.model import PathKind, Route

ANY_HOST = "*"
# How specific each kind of path is.
KINDS = {PathKind.EXACT: 3, PathKind.TEMPLATE: 2, PathKind.REGEX: 1, PathKind.PREFIX: 0}

# Greater is more specific: kind and segments of the path, number of conditions, methods named, priority.
Specificity = tuple[int, tuple[bool, ...], int, bool, int]


def host_specificity(host: str) -> tuple[int, int]:
    """Comparable: greater is more specific."""
    if host == ANY_HOST:
        return (0, 0)
    return (1, len(host)) if host.startswith("*.") else (2, len(host))


def specificity(route: Route) -> Specificity:
    """Comparable among routes of one host: greater is more specific."""
    literal = () if route.path.kind is PathKind.REGEX else tuple(part is not None for part in route.path.segments)
    conditions = len(route.headers) + len(route.query)
    return (KINDS[route.path.kind], literal, conditions, bool(route.methods), route.priority)


def ordered(routes: Iterable[Route]) -> tuple[Route, ...]:
    """Routes in the order in which they are tried; names break ties between routes that no request can confuse."""
    by_name = sorted(routes, key=lambda route: route.name)
    return tuple(sorted(by_name, key=specificity, reverse=True))


def covers(host: str, domain: str) -> bool:
    """Whether a route for `host` takes requests that Envoy's virtual host `domain` receives."""
    if host in (domain, ANY_HOST):
        return True
    return host.startswith("*.") and domain != ANY_HOST and domain.removeprefix("*").endswith(host[1:])
