"""How fast bodies pass. Buckets are the route's at this listener: an instance for each route and direction.

As messages of routes they would be apart for each host name that a route answers to, and begin anew with every edit of
the routes.
"""

from collections.abc import Iterator
from datetime import timedelta

from envoy_data_plane.envoy.extensions.filters.http.bandwidth_limit.v3 import BandwidthLimit, BandwidthLimitEnableMode
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.per_route import ON, PerRoute

KIB = 1024
FILL_INTERVAL = timedelta(milliseconds=50)
MODES = {"upload": BandwidthLimitEnableMode.REQUEST, "download": BandwidthLimitEnableMode.RESPONSE}


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """One instance for each bound, off until its route turns it on."""
    return tuple(
        HttpFilter(
            name=names.bandwidth(route.name, direction),
            typed_config=Any.pack(_limit(route.name, direction, bytes_a_second)),
            disabled=True,
        )
        for route in sorted(gateway.routes, key=lambda route: route.name)
        for direction, bytes_a_second in _bounds(route)
    )


def per_route(route: Route | None) -> PerRoute:
    """The route's own instances."""
    return {} if route is None else {names.bandwidth(route.name, direction): ON for direction, _ in _bounds(route)}


def _bounds(route: Route) -> Iterator[tuple[str, int]]:
    if route.bandwidth is not None:
        bounds = (("upload", route.bandwidth.upload), ("download", route.bandwidth.download))
        yield from ((direction, bound) for direction, bound in bounds if bound is not None)


def _limit(route: str, direction: str, bytes_a_second: int) -> BandwidthLimit:
    return BandwidthLimit(
        stat_prefix=f"{route}.{direction}",
        enable_mode=MODES[direction],
        limit_kbps=bytes_a_second // KIB,
        fill_interval=FILL_INTERVAL,
    )
