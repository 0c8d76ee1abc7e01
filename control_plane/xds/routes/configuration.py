"""The order in which Envoy tries routes: one virtual host a domain, each with every route that serves it.

Routes are made one by one, as bytes, and put together as bytes: a message is its fields one after the other, so ten
thousand routes cost no more than copying them, but for those that are new.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb
from google.protobuf.wrappers_pb2 import UInt32Value

from control_plane.ir.model import DirectResponse, Forward, Gateway, Redirect, Route
from control_plane.ir.order import ANY_HOST, Specificity, covering_hosts, specificity
from control_plane.reuse import Reused
from control_plane.xds import names
from control_plane.xds.fields import field
from control_plane.xds.filters.chain import speak
from control_plane.xds.other_methods import with_other_methods
from control_plane.xds.packing import serialized
from control_plane.xds.preflight import with_preflights
from control_plane.xds.routes.about import route_metadata
from control_plane.xds.routes.answers import direct_response, redirect
from control_plane.xds.routes.forward import forward
from control_plane.xds.routes.headers import change_headers
from control_plane.xds.routes.match import route_matches
from control_plane.xds.routes.refusals import lists_models, refusal, refusals
from control_plane.xds.routes.system import say_which_listener
from control_plane.xds.system_routes import system_routes

# Bytes. Always said: a table that left it out would be refused for a list that was there before.
LARGEST_ANSWER = 4 << 20


def route_configuration(gateway: Gateway) -> route_configuration_pb.RouteConfiguration:
    """All routes of the gateway, shared by its listeners."""
    return route_configuration_pb.RouteConfiguration.FromString(RouteTable().serialized(gateway))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A route as a virtual host holds it, and what its place there depends on."""

    route: Route
    name: str
    hosts: tuple[str, ...]
    specificity: Specificity
    held: bytes


class RouteTable:
    """Makes the routes of one gateway after the other; a route that is the same object is not made again."""

    def __init__(self) -> None:
        # A route, and its companion for preflights where it has one.
        self._made: Reused[int, tuple[_Entry, ...]] = Reused()

    def begin(self) -> None:
        """From here on, another gateway is at hand."""
        self._made.begin()

    def succeeded(self) -> None:
        """The gateway at hand is a good one."""
        self._made.succeeded()

    def serialized(self, gateway: Gateway) -> bytes:
        """The RouteConfiguration with all routes of the gateway, which its listeners share."""
        others = (route for route in gateway.routes if not lists_models(route))
        entries = [entry for route in others for entry in self._entries(route)]
        hosts = _by_host(entries)
        own = (*self._first(gateway), *map(_system_route, system_routes(gateway)))
        before = b"".join(field(route_pb.VirtualHost, "routes", serialized(item)) for item in own)
        after = field(route_pb.VirtualHost, "routes", serialized(refusal(names.NO_ROUTE)))
        virtual_hosts = (_virtual_host(domain, hosts, before, after) for domain in sorted(hosts))
        whole = route_configuration_pb.RouteConfiguration
        named, rest = (
            whole(name=names.ROUTES),
            whole(
                # api.example.com:8800 is api.example.com; the upstream still sees what the client wrote.
                ignore_port_in_host_matching=True,
                # How long an upstream took is the operator's to know; the access log has it.
                response_headers_to_remove=["x-envoy-upstream-service-time"],
                # Of an answer of the gateway itself, such as a list of models.
                max_direct_response_body_size_bytes=UInt32Value(value=LARGEST_ANSWER),
            ),
        )
        fields = (field(whole, "virtual_hosts", host) for host in virtual_hosts)
        return b"".join((serialized(named), *fields, serialized(rest)))

    @staticmethod
    def _first(gateway: Gateway) -> Iterator[route_pb.Route]:
        """What comes before all others: a model's name may hold a slash, and its clients escape it."""
        *others, escaped = refusals()
        yield from others
        for route in filter(lists_models, gateway.routes):
            yield from _routes(route)
        yield escaped

    def _entries(self, route: Route) -> tuple[_Entry, ...]:
        made = self._made.get(id(route))
        if made is None:
            made = self._made[id(route)] = tuple(map(_entry, with_other_methods(with_preflights((route,)))))
        return made


def _entry(route: Route) -> _Entry:
    held = b"".join(field(route_pb.VirtualHost, "routes", serialized(built)) for built in _routes(route))
    return _Entry(route, route.name, route.hosts or (ANY_HOST,), specificity(route), held)


def _by_host(entries: Iterable[_Entry]) -> Mapping[str, list[_Entry]]:
    """The routes of each host that one of them names, and of any host; the most specific first."""
    found: dict[str, list[_Entry]] = {ANY_HOST: []}
    for entry in sorted(entries, key=lambda entry: entry.specificity, reverse=True):
        for host in entry.hosts:
            found.setdefault(host, []).append(entry)
    return found


def _virtual_host(domain: str, by_host: Mapping[str, list[_Entry]], before: bytes, after: bytes) -> bytes:
    # A route of several hosts stands where the nearest of them does.
    taken = {entry.name: entry.held for host in covering_hosts(domain) for entry in by_host.get(host, ())}
    host = route_pb.VirtualHost(name=domain, domains=[domain])
    return b"".join((serialized(host), before, *taken.values(), after))


def _system_route(route: Route) -> route_pb.Route:
    (built,) = _routes(route)
    say_which_listener(built)
    return built


def _routes(route: Route) -> Iterator[route_pb.Route]:
    """As Envoy has it: once for each way in which requests come to it."""
    first, *others = route_matches(route)
    built = _route(route, first)
    yield built
    for match in others:
        other = route_pb.Route()
        other.CopyFrom(built)
        other.match.CopyFrom(match)
        yield other


def _route(route: Route, match: route_pb.RouteMatch) -> route_pb.Route:
    built = route_pb.Route(name=route.name, match=match)
    match route.action:
        case Forward():
            built.route.CopyFrom(forward(route.path, route.action, tells_host=route.model is None))
        case Redirect():
            built.redirect.CopyFrom(redirect(route.path, route.action))
        case DirectResponse():
            built.direct_response.CopyFrom(direct_response(route.action))
    change_headers(built, route)
    speak(built, route)
    about = route_metadata(route)
    if about.filter_metadata:
        built.metadata.CopyFrom(about)
    return built
