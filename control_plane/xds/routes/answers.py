"""Answers that the gateway gives itself: redirects and direct responses."""

from envoy.config.route.v3 import route_components_pb2 as route_pb

from control_plane.config.values import DEFAULT_PORTS
from control_plane.ir.model import DirectResponse, PathMatch, Redirect, Rewrite
from control_plane.xds.routes.rewrite import path_rewrite

STATUSES = {
    301: route_pb.RedirectAction.MOVED_PERMANENTLY,
    302: route_pb.RedirectAction.FOUND,
    303: route_pb.RedirectAction.SEE_OTHER,
    307: route_pb.RedirectAction.TEMPORARY_REDIRECT,
    308: route_pb.RedirectAction.PERMANENT_REDIRECT,
}


def redirect(path: PathMatch, action: Redirect) -> route_pb.RedirectAction:
    """The redirect; a path is replaced as on the way to an upstream."""
    return route_pb.RedirectAction(
        scheme_redirect=action.scheme,
        host_redirect=action.host,
        port_redirect=_port(action),
        regex_rewrite=path_rewrite(path, Rewrite(action.path)),
        response_code=STATUSES[action.status],
        strip_query=action.strip_query,
    )


def _port(action: Redirect) -> int | None:
    """The port to name. Beside a host, the scheme's own goes unsaid; without one, it replaces the client's."""
    default = action.host is not None and action.scheme is not None and DEFAULT_PORTS[action.scheme] == action.port
    return None if default else action.port


def direct_response(action: DirectResponse) -> route_pb.DirectResponseAction:
    """The status and body; the media type is a header of the route."""
    built = route_pb.DirectResponseAction(status=action.status)
    if action.body:
        built.body.inline_string = action.body
    return built
