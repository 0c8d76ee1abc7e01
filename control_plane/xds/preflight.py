"""Preflights: what a browser asks before a page's request, without credential, in a method that a route may not take.

Each route with rules for pages has a companion that takes the preflights of its requests (Fetch standard, 4.8): same
hosts and paths, OPTIONS, an origin, and one of its methods announced. The filter `cors.py` answers for it, which it
does only on a route that has an upstream; what it does not answer is refused by the one behind it, `ip_list.py`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from control_plane.ir.model import NO_CHANGES, Condition, Forward, Route, TestKind
from control_plane.xds import names
from control_plane.xds.filters.llm.groups import is_last

PREFLIGHT = "OPTIONS"


def with_preflights(routes: Iterable[Route]) -> Iterator[Route]:
    """The routes, and a companion for each that pages may call."""
    for route in routes:
        yield route
        # Of routes that bodies choose among, one for all: a preflight has none.
        chosen = route.asked is not None and not is_last(route)
        if route.cors is not None and route.forward is not None and not chosen:
            yield _preflights(route, route.forward)


def _preflights(route: Route, forward: Forward) -> Route:
    """Asks nobody and counts nothing: a preflight changes nothing and tells no secret."""
    return replace(
        route,
        name=names.preflight(route.name),
        action=Forward(forward.destinations[:1], forward.timeouts),
        methods=(PREFLIGHT,),
        headers=tuple(_conditions(route)),
        demand=None,
        allow_ips=(),
        nobody=True,
        limits=(),
        asks_limiter=False,
        limited_here=False,
        holds=False,
        usage="",
        tokens=None,
        asked=None,
        of_plans=None,
        model=None,
        request_headers=NO_CHANGES,
        response_headers=NO_CHANGES,
        body_merge="",
        bandwidth=None,
        fault=None,
        adaptive_concurrency=None,
        cached=False,
    )


def _conditions(route: Route) -> Iterator[Condition]:
    yield Condition("origin", TestKind.PRESENT)
    methods = () if PREFLIGHT in route.methods else route.methods
    if methods:
        yield Condition("access-control-request-method", TestKind.REGEX, "|".join(methods))
    else:
        yield Condition("access-control-request-method", TestKind.PRESENT)
    # The request will have these headers; the preflight has their names.
    for condition in route.headers:
        if condition.kind is not TestKind.ABSENT:
            announced = rf"(?i)(.*,)?\s*{re.escape(condition.name)}\s*(,.*)?"
            yield Condition("access-control-request-headers", TestKind.REGEX, announced)
