"""Requests that reach nobody, whatever the routes say: the first routes of every virtual host.

Each would be read in one way by the routes and in another by whoever is behind them.
"""

from dataclasses import dataclass

from envoy.config.route.v3 import route_components_pb2 as route_pb

from control_plane.ir.model import DirectResponse, PathKind, Route
from control_plane.xds import names
from control_plane.xds.filters.chain import speak
from service_kit import contract

LABEL = "[A-Za-z0-9_-]+"
PORT = "(:[0-9]*)?"
MODELS = "/v1/models"
ADDRESS = r"[0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*"


@dataclass(frozen=True)
class Refusal:
    """Refuses requests whose header is there and does not match the pattern as a whole; where `matching`, does."""

    name: str
    header: str
    pattern: str
    status: int
    matching: bool = False


REFUSALS = (
    # A method that is not in capitals is none (RFC 9110, 9.1). HTTP/2 brings `post` as it is: past a route that guards
    # POST, to a wider one whose upstream may read it as POST.
    Refusal(names.ODD_METHOD, ":method", "[A-Z][A-Z0-9_-]*", 404),
    # An upstream that reflects what it got (RFC 9110, 9.3.8) would show identity headers and its own credential.
    Refusal(names.ODD_METHOD, ":method", "TRACE", 404, matching=True),
    # Past the routes of a host, to those of any host, whose upstream may read it as that host (RFC 9112, 3.2).
    Refusal(names.ODD_HOST, ":authority", rf"{LABEL}(\.{LABEL})*{PORT}|\[[0-9A-Fa-f:.]+\]{PORT}", 400),
    # A proxy that writes a port, or no address at all: the proxy itself would count as the client.
    Refusal(names.ODD_CLIENT, contract.FORWARDED_FOR_HEADER, rf"({ADDRESS})(\s*,\s*({ADDRESS}))*", 400),
    # A slash or backslash that is escaped, before the query: one path to the routes, and perhaps another upstream.
    Refusal(names.ESCAPED_SLASH, ":path", "[^?]*%(2[fF]|5[cC]).*", 400, matching=True),
)


def refusals() -> tuple[route_pb.Route, ...]:
    """Every refusal, in order; what may hold an escaped slash comes before the last."""
    return tuple(map(_refusal, REFUSALS))


def _refusal(item: Refusal) -> route_pb.Route:
    built = refusal(item.name, item.status)
    tested = built.match.headers.add(name=item.header, invert_match=not item.matching)
    tested.string_match.safe_regex.regex = item.pattern
    return built


def lists_models(route: Route) -> bool:
    """Whether the gateway itself answers with its models, or for one whose name is a part of the path."""
    path = route.path
    begins = path.text == MODELS or (path.kind is PathKind.REGEX and path.text.startswith(f"{MODELS}/"))
    return begins and ":" in route.name and isinstance(route.action, DirectResponse)


def refusal(name: str, status: int = 404) -> route_pb.Route:
    """Answers whatever comes here with the status; it asks nobody."""
    built = route_pb.Route(
        name=name,
        match=route_pb.RouteMatch(prefix="/"),
        direct_response=route_pb.DirectResponseAction(status=status),
    )
    speak(built, None)
    return built
