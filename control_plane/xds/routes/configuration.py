"""The order in which Envoy tries routes: one virtual host a domain, each with every route that serves it."""

from collections.abc import Iterable

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb

from control_plane.ir.model import DirectResponse, Forward, Gateway, Redirect, Route
from control_plane.ir.order import ANY_HOST, covers, host_specificity, specificity
from control_plane.xds import names
from control_plane.xds.filters.chain import typed_per_filter_config
from control_plane.xds.filters.instance_limits import route_metadata
from control_plane.xds.preflight import with_preflights
from control_plane.xds.routes.answers import direct_response, redirect
from control_plane.xds.routes.forward import forward
from control_plane.xds.routes.headers import change_headers
from control_plane.xds.routes.match import route_match

CAPITALS = "[A-Z][A-Z0-9_-]*"


def route_configuration(gateway: Gateway) -> route_configuration_pb.RouteConfiguration:
    """All routes of the gateway, shared by its listeners."""
    routes = tuple(with_preflights(gateway.routes))
    domains = sorted({ANY_HOST, *(host for route in routes for host in route.hosts)})
    built = {route.name: _route(route) for route in routes}
    return route_configuration_pb.RouteConfiguration(
        name=names.ROUTES,
        virtual_hosts=[_virtual_host(domain, routes, built) for domain in domains],
        # api.example.com:8800 is api.example.com; the upstream still sees what the client wrote.
        ignore_port_in_host_matching=True,
        # How long an upstream took is the operator's to know; the access log has it.
        response_headers_to_remove=["x-envoy-upstream-service-time"],
    )


def _virtual_host(domain: str, routes: Iterable[Route], built: dict[str, route_pb.Route]) -> route_pb.VirtualHost:
    taken = [route for route in routes if _serves(route, domain)]
    ranked = sorted(taken, key=lambda route: (_nearest_host(route, domain), specificity(route)), reverse=True)
    tried = [_odd_method(), *(built[route.name] for route in ranked), _no_route()]
    return route_pb.VirtualHost(name=domain, domains=[domain], routes=tried)


def _serves(route: Route, domain: str) -> bool:
    return not route.hosts or any(covers(host, domain) for host in route.hosts)


def _nearest_host(route: Route, domain: str) -> tuple[int, int]:
    return max(host_specificity(host) for host in route.hosts or (ANY_HOST,) if covers(host, domain))


def _route(route: Route) -> route_pb.Route:
    built = route_pb.Route(name=route.name, match=route_match(route))
    match route.action:
        case Forward():
            built.route.CopyFrom(forward(route.path, route.action))
        case Redirect():
            built.redirect.CopyFrom(redirect(route.path, route.action))
        case DirectResponse():
            built.direct_response.CopyFrom(direct_response(route.action))
    change_headers(built, route)
    _speak(built, route)
    return built


def _speak(built: route_pb.Route, route: Route | None) -> None:
    """What a route, or the answer where there is none, says to the filters."""
    for name, config in typed_per_filter_config(route).items():
        built.typed_per_filter_config[name].CopyFrom(config)
    if route is not None and route.limited_here:
        built.metadata.CopyFrom(route_metadata(route))


def _odd_method() -> route_pb.Route:
    """A method that is not in capitals is none (RFC 9110, 9.1), and reaches nobody.

    HTTP/2 brings `post` as it is: past a route that guards POST, to a wider one whose upstream may read it as POST.
    """
    built = _refusal(names.ODD_METHOD)
    method = built.match.headers.add(name=":method", invert_match=True)
    method.string_match.safe_regex.regex = CAPITALS
    return built


def _no_route() -> route_pb.Route:
    return _refusal(names.NO_ROUTE)


def _refusal(name: str) -> route_pb.Route:
    """404 for whatever comes here; it asks nobody."""
    built = route_pb.Route(
        name=name,
        match=route_pb.RouteMatch(prefix="/"),
        direct_response=route_pb.DirectResponseAction(status=404),
    )
    _speak(built, None)
    return built
