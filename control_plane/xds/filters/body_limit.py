"""Largest request body. The filter has no per-route form, so each size class is an instance, chosen by name.

The default class is on unless a route turns it off; the others are off unless a route turns them on. Routes that
upgrade have none: the filter counts what crosses a tunnel and would cut it.
"""

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from control_plane.config.model import DEFAULT_BODY_LIMIT
from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.per_route import PerRoute
from control_plane.xds.packing import packed, typed_struct

TYPE = "envoy.extensions.filters.http.body_size_limit.v3.BodySizeLimit"


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """One instance a size class in use; the default one always."""
    sizes = {DEFAULT_BODY_LIMIT, *(route.body_limit for route in gateway.routes if not route.websocket)}
    return tuple(
        HttpFilter(
            name=names.body_limit(size),
            typed_config=typed_struct(TYPE, {"max_request_bytes": size}),
            disabled=size != DEFAULT_BODY_LIMIT,
        )
        for size in sorted(sizes)
    )


def per_route(route: Route | None) -> PerRoute:
    """Off where the route upgrades; the route's own class where it names one."""
    if route is None or (route.body_limit == DEFAULT_BODY_LIMIT and not route.websocket):
        return {}
    off = {names.body_limit(DEFAULT_BODY_LIMIT): packed(route_pb.FilterConfig(disabled=True))}
    if route.websocket:
        return off
    # `config` must be set for `disabled: false` to switch an instance on that is off by default.
    own = route_pb.FilterConfig(disabled=False)
    own.config.SetInParent()
    return {**off, names.body_limit(route.body_limit): packed(own)}
