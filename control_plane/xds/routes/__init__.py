"""Routes as Envoy tries them."""

from control_plane.xds.routes.configuration import RouteTable, route_configuration

__all__ = ["RouteTable", "route_configuration"]
