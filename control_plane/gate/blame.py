"""Whose fault a refusal of Envoy's is: the parts of an edit that its message means.

What Envoy 1.40 says, as seen: of listeners always the names; of clusters the name where it fails to build one, and none
where a field is out of bounds; of routes the place by index where a field is out of bounds, and else no name, but the
text it stumbled over: an expression that is too large, an address, a command of a format. Secrets, endpoints and limits
are known by what the refused push held. A virtual host is quoted where a field is out of bounds, its name with it.
Where nothing is named, all that changed of the refused type is blamed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Final

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb

from control_plane.gate.parts import LISTENERS, ROUTES, UPSTREAMS, Blame, Element, Part
from control_plane.ir.model import Forward, Route
from control_plane.ir.part import named_clusters
from control_plane.publication.outcome import NodeRefusal, Outcome, refused_names, told
from control_plane.server.status import Refusal
from control_plane.snapshot import Snapshot
from control_plane.virtual_hosts import with_virtual_hosts
from control_plane.xds import names
from service_kit import contract

# Which of the configuration's parts resources of a type are made of.
KIND_OF: Final[Mapping[str, str]] = {
    names.CLUSTER_TYPE: UPSTREAMS,
    names.ENDPOINTS_TYPE: UPSTREAMS,
    names.LISTENER_TYPE: LISTENERS,
    names.ROUTES_TYPE: ROUTES,
    names.VIRTUAL_HOST_TYPE: ROUTES,
}
OF_ENVOY: Final = frozenset({*KIND_OF, names.SECRET_TYPE})
PLACE: Final = re.compile(r"VirtualHosts\[(\d+)\].*?Routes\[(\d+)\]", re.DOTALL)
PLACE_IN_HOST: Final = re.compile(r"VirtualHostValidationError\.Routes\[(\d+)\]")
HOST: Final = re.compile(r"virtual host '[^']*'")  # what says which it is names no route, though routes name it
# A word of the language may stand in any message; what is looked for has something that words have not.
NO_WORD: Final = re.compile(r"[^A-Za-z_]")
SHORTEST: Final = 4


def blamed(
    outcome: Outcome, touched: AbstractSet[Part], now: Mapping[Part, Element], before: Mapping[Part, Element]
) -> Blame:
    """The parts that the refusals of an outcome name, with Envoy's reasons; empty where they name none."""
    found: dict[Part, str] = {}
    suspects = {part: item for part, item in now.items() if part in touched}
    for item in outcome.refused:
        reason = _reason(item)
        for part in _named(item.refusal, outcome.release.envoy.visible_to(item.group), suspects, before):
            found.setdefault(part, reason)
    return found


def all_of_the_refused_types(outcome: Outcome, touched: Iterable[Part]) -> Blame:
    """Whatever changed of the kinds that were refused, else all that changed.

    Nothing where services alone refuse: what is theirs and named nowhere is shared by all routes.
    """
    reasons = {item.refusal.type_url: _reason(item) for item in outcome.refused if item.refusal.type_url in OF_ENVOY}
    by_kind = {KIND_OF[type_url]: reason for type_url, reason in reasons.items() if type_url in KIND_OF}
    found = {part: by_kind[part.kind] for part in touched if part.kind in by_kind}
    return found or {part: reason for reason in reasons.values() for part in touched}


def _reason(item: NodeRefusal) -> str:
    return f"{item.node} refuses it: {told(item.refusal.message)}"


def _named(
    refusal: Refusal, seen: Snapshot, suspects: Mapping[Part, Element], before: Mapping[Part, Element]
) -> Iterator[Part]:
    owners = {part for name in refused_names(refusal) for part in _owners(refusal.type_url, name, suspects)}
    if KIND_OF.get(refusal.type_url) != ROUTES:
        yield from sorted(owners & suspects.keys())
        return
    routes = {part: item for part, item in suspects.items() if isinstance(item, Route)}
    if placed := _placed(refusal, seen, routes.keys()):
        yield from sorted(placed)
        return
    message = HOST.sub("", told(refusal.message))
    for part, route in routes.items():
        if _is_quoted(route.name, message) or any(
            _stands_in(text, message) for text in _texts(route) - _texts(before.get(part))
        ):
            yield part


def _owners(type_url: str, name: str, suspects: Mapping[Part, Element]) -> Iterator[Part]:
    """The part of the configuration that a resource is made of; ours, which have none, own nothing."""
    if type_url == contract.LIMIT_SET_TYPE:
        route = name.partition("/")[2]
        if contract.route_limits_name(route) == name:
            yield Part(ROUTES, route)
            yield from (part for part, item in _routes(suspects) if item.known_as == route)
        return
    if names.is_variant(name):  # of calls of a model: the routes of others reach the upstream itself
        yield from (part for part, item in _routes(suspects) if name in named_clusters(item))
        return
    ours, _, rest = name.partition(":")
    if ours != "tollgate":
        kind = KIND_OF.get(type_url)
        if kind in (UPSTREAMS, LISTENERS):
            yield Part(kind, name)
        return
    section, _, rest = rest.partition(":")
    if section == "http3":
        yield Part(LISTENERS, rest)
    elif section in ("listener", "upstream"):
        yield Part(f"{section}s", rest.rpartition(":")[0])


def _routes(suspects: Mapping[Part, Element]) -> Iterator[tuple[Part, Route]]:
    return ((part, item) for part, item in suspects.items() if isinstance(item, Route))


def _placed(refusal: Refusal, seen: Snapshot, suspects: AbstractSet[Part]) -> frozenset[Part]:
    """The route at the place that the message tells: virtual host by index or name, and route by index."""
    if refusal.type_url == names.VIRTUAL_HOST_TYPE:
        found = frozenset(_placed_in_hosts(refusal, with_virtual_hosts(seen))) & suspects
        return found if len(found) == 1 else frozenset()  # a place in one of several hosts says nothing of the others
    if (place := PLACE.search(refusal.message)) is None:
        return frozenset()
    host, route = map(int, place.groups())
    return frozenset(part for name in refusal.names for part in _at(seen, name, host, route)) & suspects


def _placed_in_hosts(refusal: Refusal, seen: Snapshot) -> Iterator[Part]:
    if (place := PLACE_IN_HOST.search(refusal.message)) is None:
        return
    route = int(place.group(1))
    quoted = [name for name in refusal.names if _is_quoted(name, refusal.message)]
    for name in quoted or refusal.names:
        if (item := seen.of(names.VIRTUAL_HOST_TYPE).get(name)) is not None:
            yield from _route_at(route_pb.VirtualHost.FromString(item.body), route)


def _at(seen: Snapshot, name: str, host: int, route: int) -> Iterator[Part]:
    if (item := seen.of(names.ROUTES_TYPE).get(name)) is not None:
        hosts = route_configuration_pb.RouteConfiguration.FromString(item.body).virtual_hosts
        if host < len(hosts):
            yield from _route_at(hosts[host], route)


def _route_at(host: route_pb.VirtualHost, index: int) -> Iterator[Part]:
    if index < len(host.routes):
        yield Part(ROUTES, host.routes[index].name.removesuffix(names.preflight("")))


def _texts(route: Element | None) -> frozenset[str]:
    """Every text that the configuration holds about a route, but its name and those of its upstreams."""
    if not isinstance(route, Route):
        return frozenset()
    return frozenset(_strings(tuple(getattr(route, field.name) for field in fields(route) if field.name != "name")))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from (value, value.partition("/")[0])  # a network is refused without its length
    elif isinstance(value, tuple):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, Forward):
        yield from _strings((value.rewrite, value.hash_by, value.mirror))
    elif is_dataclass(value) and not isinstance(value, Enum):
        yield from _strings(tuple(getattr(value, field.name) for field in fields(value)))


def _stands_in(text: str, message: str) -> bool:
    """Whether the text stands in the message by itself; a plain word only in quotes."""
    if len(text) < SHORTEST or NO_WORD.search(text) is None:
        return bool(text) and _is_quoted(text, message)
    begin = r"(?<![A-Za-z0-9_])" if text[0].isalnum() else ""
    end = r"(?![A-Za-z0-9_])" if text[-1].isalnum() else ""
    return re.search(begin + re.escape(text) + end, message) is not None


def _is_quoted(text: str, message: str) -> bool:
    return any(f"{quote}{text}{quote}" in message for quote in "'\"")
