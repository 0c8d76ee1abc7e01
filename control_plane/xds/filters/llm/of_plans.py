"""Makes Envoy choose the route anew when it knows who calls: what is listed for a plan is a route of that plan's.

Off, and turned on by routes that are chosen so; all of them ask for the same identity, and the guard of profiles stands
behind.
"""

from envoy_data_plane.envoy.config.core.v3 import DataSource, SubstitutionFormatString
from envoy_data_plane.envoy.extensions.filters.common.set_filter_state.v3 import FilterStateValue
from envoy_data_plane.envoy.extensions.filters.http.set_filter_state.v3 import Config
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.per_route import ON, PerRoute

# Nobody reads it: what is wanted is that the choice is forgotten, which Envoy does when something is written.
WRITTEN = "tollgate.of_plans"


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Where a route is for some plans alone."""
    if not any(route.of_plans is not None for route in gateway.routes):
        return ()
    value = FilterStateValue(
        object_key=WRITTEN,
        factory_key="envoy.string",
        format_string=SubstitutionFormatString(text_format_source=DataSource(inline_string="1")),
    )
    again = Config(on_request_headers=[value], clear_route_cache=True)
    return (HttpFilter(name=names.OF_PLANS, typed_config=Any.pack(again), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """On for every route of such a group."""
    return {} if route is None or route.of_plans is None else {names.OF_PLANS: ON}
