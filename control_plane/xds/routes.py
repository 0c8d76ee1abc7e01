"""Routes as Envoy tries them: one virtual host a domain, each with every route that takes requests for it."""

import re
from collections.abc import Iterable

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb

from control_plane.ir.model import Gateway, PathMatch, Route
from control_plane.ir.order import ANY_HOST, covers, host_specificity, specificity
from control_plane.xds import names
from control_plane.xds.filters.chain import typed_per_filter_config
from control_plane.xds.packing import seconds
from service_kit import contract

CAPITALS = "[A-Z][A-Z0-9_-]*"


def route_configuration(gateway: Gateway) -> route_configuration_pb.RouteConfiguration:
    """All routes of the gateway, shared by its listeners."""
    domains = sorted({ANY_HOST, *(host for route in gateway.routes for host in route.hosts)})
    return route_configuration_pb.RouteConfiguration(
        name=names.ROUTES,
        virtual_hosts=[_virtual_host(domain, gateway.routes) for domain in domains],
        # api.example.com:8800 is api.example.com; the upstream still sees what the client wrote.
        ignore_port_in_host_matching=True,
        # How long an upstream took is the operator's to know; the access log has it.
        response_headers_to_remove=["x-envoy-upstream-service-time"],
    )


def _virtual_host(domain: str, routes: Iterable[Route]) -> route_pb.VirtualHost:
    taken = [route for route in routes if _serves(route, domain)]
    ranked = sorted(taken, key=lambda route: (_nearest_host(route, domain), specificity(route)), reverse=True)
    tried = [_odd_method(), *map(_route, ranked), _no_route()]
    return route_pb.VirtualHost(name=domain, domains=[domain], routes=tried)


def _serves(route: Route, domain: str) -> bool:
    return not route.hosts or any(covers(host, domain) for host in route.hosts)


def _nearest_host(route: Route, domain: str) -> tuple[int, int]:
    return max(host_specificity(host) for host in route.hosts or (ANY_HOST,) if covers(host, domain))


def _route(route: Route) -> route_pb.Route:
    built = route_pb.Route(
        name=route.name,
        match=_match(route),
        route=_action(route),
        # The profile is between the authorizer and the guard; upstreams get the identity alone.
        request_headers_to_remove=[contract.identity_header("profile")],
    )
    _speak(built, route)
    return built


def _speak(built: route_pb.Route, route: Route | None) -> None:
    """What a route, or the answer where there is none, says to the filters."""
    for name, config in typed_per_filter_config(route).items():
        built.typed_per_filter_config[name].CopyFrom(config)


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


def _match(route: Route) -> route_pb.RouteMatch:
    match = route_pb.RouteMatch()
    if route.path.exact:
        match.path = route.path.path
    elif route.path.path == "/":
        match.prefix = "/"
    else:
        match.path_separated_prefix = route.path.path
    if route.methods:
        method = match.headers.add(name=":method")
        method.string_match.safe_regex.regex = "|".join(route.methods)
    return match


def _action(route: Route) -> route_pb.RouteAction:
    timeouts = route.timeouts
    action = route_pb.RouteAction(
        cluster=route.upstream,
        timeout=seconds(timeouts.total or 0.0),
        idle_timeout=seconds(timeouts.idle),
    )
    if timeouts.first_byte is not None:
        # A route timeout would cut a stream in the middle; that of a try ends when the answer begins.
        action.retry_policy.per_try_timeout.CopyFrom(seconds(timeouts.first_byte))
    if timeouts.max_duration is not None:
        action.max_stream_duration.max_stream_duration.CopyFrom(seconds(timeouts.max_duration))
    if route.websocket:
        action.upgrade_configs.add(upgrade_type="websocket").enabled.value = True
    if route.rewrite is not None:
        _rewrite(action, route.path, route.rewrite)
    return action


def _rewrite(action: route_pb.RouteAction, path: PathMatch, rewrite: str) -> None:
    """The matched path or prefix becomes `rewrite`, with exactly one slash where they meet."""
    if path.exact:
        action.regex_rewrite.pattern.regex = f"^{re.escape(path.path)}$"
        action.regex_rewrite.substitution = _literal(rewrite)
        return
    prefix = re.escape(path.path.rstrip("/"))
    action.regex_rewrite.pattern.regex = f"^{prefix}(/|$)"
    action.regex_rewrite.substitution = _literal(rewrite) + ("" if rewrite.endswith("/") else "\\1")


def _literal(text: str) -> str:
    """The text as a substitution that stands for itself: RE2 reads backslashes there."""
    return text.replace("\\", "\\\\")
