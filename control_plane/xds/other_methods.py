"""Requests on the path of a group of routes in a method that none of them takes: 405, in the shape of their errors.

As routes of their own, so that one that is written for such a method comes first where it is more specific.
"""

from collections.abc import Iterable, Iterator

from control_plane.ir.model import DirectResponse, HeaderChanges, PathKind, Route
from control_plane.xds import names
from control_plane.xds.filters.llm.groups import is_last

NOT_ALLOWED = DirectResponse(405, "", "")


def with_other_methods(routes: Iterable[Route]) -> Iterator[Route]:
    """The routes, and a companion for the last of each group."""
    for route in routes:
        yield route
        if is_last(route) and route.methods and route.path.kind is PathKind.EXACT:
            yield _refused(route)


def _refused(route: Route) -> Route:
    """Says what may be asked instead (RFC 9110, 15.5.6)."""
    return Route(
        name=names.other_methods(route.name),
        path=route.path,
        action=NOT_ALLOWED,
        body_limit=route.body_limit,
        hosts=route.hosts,
        allow_ips=route.allow_ips,
        response_headers=HeaderChanges(set=(("allow", ", ".join(route.methods)),)),
    )
