"""Compiled routes, as Envoy gets them."""

from typing import Any

from envoy.config.route.v3 import route_components_pb2 as route_pb

from control_plane.xds.routes import route_configuration
from control_plane.xds.routes.refusals import refusals
from tests.support.compiled import compiled, config, route


def virtual_hosts(*routes: dict[str, Any], **changes: Any) -> dict[str, list[route_pb.Route]]:
    """The routes of each domain, without the refusals that come first in all of them."""
    configuration = route_configuration(compiled(config(routes=list(routes), **changes)).gateway)
    first = list(refusals())
    assert all(item.routes[: len(first)] == first for item in configuration.virtual_hosts)
    return {item.domains[0]: list(item.routes)[len(first) :] for item in configuration.virtual_hosts}


def only(upstreams: dict[str, Any] | None = None, **changes: Any) -> route_pb.Route:
    """The one route of a configuration; a key with None is left out."""
    written = {key: value for key, value in route(**changes).items() if value is not None}
    return virtual_hosts(written, **({} if upstreams is None else {"upstreams": upstreams}))["*"][0]
