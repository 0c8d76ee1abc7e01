"""Routes as Envoy tries them."""

from control_plane.xds.routes.configuration import route_configuration

__all__ = ["route_configuration"]
