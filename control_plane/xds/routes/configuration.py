"""The order in which Envoy tries routes: one virtual host a domain, each with every route that serves it."""

from collections.abc import Iterable, Mapping

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb

from control_plane.ir.model import DirectResponse, Forward, Gateway, Redirect, Route
from control_plane.ir.order import ANY_HOST, covering_hosts, specificity
from control_plane.xds import names
from control_plane.xds.filters.chain import speak
from control_plane.xds.filters.instance_limits import route_metadata
from control_plane.xds.preflight import with_preflights
from control_plane.xds.routes.answers import direct_response, redirect
from control_plane.xds.routes.forward import forward
from control_plane.xds.routes.headers import change_headers
from control_plane.xds.routes.match import route_match
from control_plane.xds.routes.refusals import refusal, refusals


def route_configuration(gateway: Gateway) -> route_configuration_pb.RouteConfiguration:
    """All routes of the gateway, shared by its listeners."""
    routes = tuple(with_preflights(gateway.routes))
    by_host = _by_host(routes)
    built = {route.name: _route(route) for route in routes}
    return route_configuration_pb.RouteConfiguration(
        name=names.ROUTES,
        virtual_hosts=[_virtual_host(domain, by_host, built) for domain in sorted(by_host)],
        # api.example.com:8800 is api.example.com; the upstream still sees what the client wrote.
        ignore_port_in_host_matching=True,
        # How long an upstream took is the operator's to know; the access log has it.
        response_headers_to_remove=["x-envoy-upstream-service-time"],
    )


def _by_host(routes: Iterable[Route]) -> Mapping[str, list[Route]]:
    """The routes of each host that one of them names, and of any host; the most specific first."""
    found: dict[str, list[Route]] = {ANY_HOST: []}
    for route in sorted(routes, key=specificity, reverse=True):
        for host in route.hosts or (ANY_HOST,):
            found.setdefault(host, []).append(route)
    return found


def _virtual_host(
    domain: str, by_host: Mapping[str, list[Route]], built: Mapping[str, route_pb.Route]
) -> route_pb.VirtualHost:
    # A route of several hosts stands where the nearest of them does.
    taken = dict.fromkeys(route.name for host in covering_hosts(domain) for route in by_host.get(host, ()))
    tried = [*refusals(), *(built[name] for name in taken), refusal(names.NO_ROUTE)]
    return route_pb.VirtualHost(name=domain, domains=[domain], routes=tried)


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
    speak(built, route)
    if route.limited_here:
        built.metadata.CopyFrom(route_metadata(route))
    return built
