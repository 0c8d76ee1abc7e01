"""The last filter: sends the request to its upstream."""

from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway
from control_plane.xds import names


def filters(_gateway: Gateway) -> tuple[HttpFilter, ...]:
    """The plain router: `x-envoy-original-path`, which it sets when a path is rewritten, is what the log shows."""
    return (HttpFilter(name=names.ROUTER, typed_config=Any.pack(Router())),)
