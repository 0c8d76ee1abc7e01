"""Largest request body. The filter has no per-route form, so each size class is an instance, chosen by name.

The default class is on unless a route turns it off; the others are off unless a route turns them on. Routes that
upgrade or stream gRPC have none: the filter counts what crosses in all, and would cut it.
"""

from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from control_plane.config.model import DEFAULT_BODY_LIMIT
from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.per_route import OFF, ON, PerRoute
from control_plane.xds.packing import typed_struct

TYPE = "envoy.extensions.filters.http.body_size_limit.v3.BodySizeLimit"


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """One instance a size class in use; the default one always."""
    sizes = {DEFAULT_BODY_LIMIT, *(route.body_limit for route in gateway.routes if route.bounded)}
    return tuple(
        HttpFilter(
            name=names.body_limit(size),
            typed_config=typed_struct(TYPE, {"max_request_bytes": size}),
            disabled=size != DEFAULT_BODY_LIMIT,
        )
        for size in sorted(sizes)
    )


def per_route(route: Route | None) -> PerRoute:
    """Off where the route upgrades or streams gRPC; the route's own class where it names one."""
    if route is None or (route.body_limit == DEFAULT_BODY_LIMIT and route.bounded):
        return {}
    off = {names.body_limit(DEFAULT_BODY_LIMIT): OFF}
    return {**off, names.body_limit(route.body_limit): ON} if route.bounded else off
