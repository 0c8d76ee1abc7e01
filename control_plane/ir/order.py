"""Which route wins: the most specific one, whatever the order in the file; and which routes cannot be told apart.

Host before path before method: an exact host beats `*.suffix`, a longer suffix a shorter one, any host comes last; an
exact path beats a prefix, a longer prefix a shorter one; a route that names methods beats one that takes all.
"""

from collections.abc import Iterable, Iterator
from itertools import combinations

from control_plane.ir.model import Route

ANY_HOST = "*"


def host_specificity(host: str) -> tuple[int, int]:
    """Comparable: greater is more specific."""
    if host == ANY_HOST:
        return (0, 0)
    return (1, len(host)) if host.startswith("*.") else (2, len(host))


def specificity(route: Route) -> tuple[bool, int, bool]:
    """Comparable among routes of one host: greater is more specific."""
    return (route.path.exact, len(route.path.path), bool(route.methods))


def ordered(routes: Iterable[Route]) -> tuple[Route, ...]:
    """Routes in the order in which they are tried; names break ties between routes that no request can confuse."""
    by_name = sorted(routes, key=lambda route: route.name)
    return tuple(sorted(by_name, key=specificity, reverse=True))


def indistinct(routes: Iterable[Route]) -> Iterator[tuple[Route, Route]]:
    """Pairs of routes that match the same requests with the same specificity."""
    groups: dict[tuple[str, bool], list[Route]] = {}
    for route in routes:
        groups.setdefault((route.path.path, route.path.exact), []).append(route)
    for group in groups.values():
        for first, second in combinations(group, 2):
            if _share_host(first, second) and _share_method(first, second):
                yield first, second


def covers(host: str, domain: str) -> bool:
    """Whether a route for `host` takes requests that Envoy's virtual host `domain` receives."""
    if host in (domain, ANY_HOST):
        return True
    return host.startswith("*.") and domain != ANY_HOST and domain.removeprefix("*").endswith(host[1:])


def _share_host(first: Route, second: Route) -> bool:
    if not first.hosts or not second.hosts:
        return first.hosts == second.hosts  # a route that names hosts is more specific than one that names none
    return bool(set(first.hosts) & set(second.hosts))


def _share_method(first: Route, second: Route) -> bool:
    if not first.methods or not second.methods:
        return first.methods == second.methods
    return bool(set(first.methods) & set(second.methods))
