"""The routes of a listener that sends everybody to https: one answer to every request, at the same path and query."""

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb

from control_plane.xds import names
from control_plane.xds.filters.chain import speak
from control_plane.xds.routes.refusals import refusals

HTTPS_PORT = 443  # RFC 9110, section 4.2.2: the port of an https URL that names none


def redirect_configuration(port: int) -> route_configuration_pb.RouteConfiguration:
    """308 keeps the method and the body, where 301 would turn a POST into a GET; it asks nobody."""
    route = route_pb.Route(name=names.https_redirect(port), match=route_pb.RouteMatch(prefix="/"))
    route.redirect.https_redirect = True
    route.redirect.response_code = route_pb.RedirectAction.PERMANENT_REDIRECT
    if port != HTTPS_PORT:
        route.redirect.port_redirect = port
    speak(route, None)
    host = route_pb.VirtualHost(name="*", domains=["*"], routes=[*refusals(), route])
    return route_configuration_pb.RouteConfiguration(name=names.https_redirect(port), virtual_hosts=[host])
