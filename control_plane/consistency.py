"""What a snapshot must hold before it may be published, checked on the bytes that would go out.

A filter that is missing, misplaced or misspelt, a message of the wrong type in `typed_per_filter_config`, and a limit
that a route does not ask about pass Envoy's own validation and switch a rule off in silence; a route to a cluster that
is not there answers 503. None of it is ever published.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2 as ext_authz_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)
from xds.type.v3 import typed_struct_pb2 as typed_struct_pb

from control_plane.config.model import DEFAULT_BODY_LIMIT
from control_plane.snapshot import Snapshot
from control_plane.xds import names
from control_plane.xds.filters import profile_guard, ratelimit
from control_plane.xds.packing import TYPE_PREFIX
from service_kit import contract
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

FILTER_CONFIG: Final = TYPE_PREFIX + route_pb.FilterConfig.DESCRIPTOR.full_name
EXTENSIONS: Final = TYPE_PREFIX + "envoy.extensions.filters.http."
DEFAULT_LIMIT: Final = names.body_limit(DEFAULT_BODY_LIMIT)
# The filters that judge a request, with their types: in every listener, on, in this order; others may stand between.
JUDGES: Final[Mapping[str, str]] = {
    DEFAULT_LIMIT: TYPE_PREFIX + typed_struct_pb.TypedStruct.DESCRIPTOR.full_name,
    names.EXT_AUTHZ: EXTENSIONS + "ext_authz.v3.ExtAuthz",
    names.IDENTITY: EXTENSIONS + "header_to_metadata.v3.Config",
    names.PROFILE_GUARD: EXTENSIONS + "rbac.v3.RBAC",
    names.RATELIMIT: EXTENSIONS + "ratelimit.v3.RateLimit",
    names.ROUTER: EXTENSIONS + "router.v3.Router",
}
# The one message that a route may say to each filter; body limits are switched by FilterConfig, nothing else is.
PER_ROUTE_TYPES: Final[Mapping[str, str]] = {
    names.EXT_AUTHZ: EXTENSIONS + "ext_authz.v3.ExtAuthzPerRoute",
    names.PROFILE_GUARD: EXTENSIONS + "rbac.v3.RBACPerRoute",
    names.RATELIMIT: EXTENSIONS + "ratelimit.v3.RateLimitPerRoute",
}
# Clusters that the filters call.
CALLED: Final = (names.AUTHZ_CLUSTER, names.RATELIMIT_CLUSTER)


class InconsistentSnapshot(Exception):  # noqa: N818 - it is the snapshot that is inconsistent
    """A snapshot that must not be published: a fault of the compiler, not of the configuration."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


@dataclass(frozen=True)
class _Surroundings:
    """What routes refer to; `limits` counts the limits of each set."""

    clusters: AbstractSet[str]
    filters: AbstractSet[str]
    limits: Mapping[str, int]

    @property
    def plans_limit(self) -> bool:
        return any(count for name, count in self.limits.items() if name.startswith(contract.plan_limits_name("")))


def checked(snapshot: Snapshot, policies: Snapshot) -> Snapshot:
    """The snapshot, or InconsistentSnapshot with every fault found in it, alone and beside the services' policies."""
    if faults := tuple(_faults(snapshot, policies)):
        raise InconsistentSnapshot(faults)
    return snapshot


def _faults(snapshot: Snapshot, policies: Snapshot) -> Iterator[str]:
    yield from _cluster_faults(snapshot)
    chains = [chain for item in snapshot.of(names.LISTENER_TYPE).values() for chain in _chains(item.body)]
    for listener, manager in chains:
        yield from _chain_faults(listener, manager.http_filters)
        if manager.rds.route_config_name not in snapshot.of(names.ROUTES_TYPE):
            yield f"listener {listener!r} wants routes {manager.rds.route_config_name!r}, which are not there"
    surroundings = _Surroundings(
        clusters=snapshot.of(names.CLUSTER_TYPE).keys(),
        filters=_shared(manager.http_filters for _, manager in chains),
        limits=_limit_counts(policies),
    )
    for item in snapshot.of(names.ROUTES_TYPE).values():
        yield from _routing_faults(route_configuration_pb.RouteConfiguration.FromString(item.body), surroundings)


def _cluster_faults(snapshot: Snapshot) -> Iterator[str]:
    clusters, endpoints = snapshot.of(names.CLUSTER_TYPE), snapshot.of(names.ENDPOINTS_TYPE)
    for name, item in clusters.items():
        if (cluster_pb.Cluster.FromString(item.body).type == cluster_pb.Cluster.EDS) != (name in endpoints):
            yield f"cluster {name!r} and its endpoints do not belong together"
    yield from (f"endpoints {name!r} belong to no cluster" for name in endpoints if name not in clusters)
    yield from (f"cluster {name!r}, which filters call, is not there" for name in CALLED if name not in clusters)


def _chains(body: bytes) -> Iterator[tuple[str, http_connection_manager_pb.HttpConnectionManager]]:
    """Every connection manager of a serialized listener, with the listener's name."""
    listener = listener_pb.Listener.FromString(body)
    for chain in listener.filter_chains:
        manager = http_connection_manager_pb.HttpConnectionManager()
        chain.filters[0].typed_config.Unpack(manager)
        yield listener.name, manager


def _shared(chains: Iterable[Iterable[http_connection_manager_pb.HttpFilter]]) -> AbstractSet[str]:
    """The names of the filters that every listener has: routes are shared by all."""
    named = [frozenset(link.name for link in chain) for chain in chains]
    return frozenset.intersection(*named) if named else frozenset(JUDGES)


def _limit_counts(policies: Snapshot) -> Mapping[str, int]:
    sets = policies.of(contract.LIMIT_SET_TYPE).items()
    return {name: len(policy_pb.LimitSet.FromString(item.body).limits) for name, item in sets}


def _chain_faults(listener: str, chain: Sequence[http_connection_manager_pb.HttpFilter]) -> Iterator[str]:
    found = [link.name for link in chain if link.name in JUDGES]
    if found != list(JUDGES) or chain[-1].name != names.ROUTER:
        yield f"listener {listener!r} runs {', '.join(found)}; a request is judged by {', '.join(JUDGES)}"
    for link in chain:
        if link.name not in JUDGES:
            continue
        if link.disabled or link.is_optional:
            yield f"listener {listener!r} has filter {link.name!r} off, or optional"
        if link.typed_config.type_url != JUDGES[link.name]:
            yield f"listener {listener!r} has {link.typed_config.type_url} as filter {link.name!r}"


def _routing_faults(
    configuration: route_configuration_pb.RouteConfiguration, surroundings: _Surroundings
) -> Iterator[str]:
    if configuration.typed_per_filter_config:
        yield f"routes {configuration.name!r} speak to filters for all routes at once"
    for host in configuration.virtual_hosts:
        if host.typed_per_filter_config:
            yield f"virtual host {host.name!r} speaks to filters for all its routes at once"
        for route in host.routes:
            yield from _route_faults(route, surroundings)


def _route_faults(route: route_pb.Route, surroundings: _Surroundings) -> Iterator[str]:
    if route.HasField("route") and route.route.cluster not in surroundings.clusters:
        yield f"route {route.name!r} goes to cluster {route.route.cluster!r}, which is not there"
    misread = tuple(_misread(route, surroundings.filters))
    yield from misread
    if misread:
        return  # what follows reads these messages
    asked = ext_authz_pb.ExtAuthzPerRoute.FromString(route.typed_per_filter_config[names.EXT_AUTHZ].value)
    yield from _profile_faults(route, asked)
    yield from _limit_faults(route, surroundings, public=asked.disabled)
    yield from _body_faults(route)


def _misread(route: route_pb.Route, filters: AbstractSet[str]) -> Iterator[str]:
    """What a route says to a filter that is not there or would not read it, and filters that it forgets."""
    for name, config in route.typed_per_filter_config.items():
        readable = FILTER_CONFIG if name.startswith(names.BODY_LIMIT) else PER_ROUTE_TYPES.get(name)
        if name not in filters:
            yield f"route {route.name!r} speaks to filter {name!r}, which is not in the chain"
        elif config.type_url != readable:
            yield f"route {route.name!r} says {config.type_url} to filter {name!r}, which does not read it"
    for name in (names.EXT_AUTHZ, names.PROFILE_GUARD):
        if name not in route.typed_per_filter_config:
            yield f"route {route.name!r} says nothing to filter {name!r}"


def _profile_faults(route: route_pb.Route, asked: ext_authz_pb.ExtAuthzPerRoute) -> Iterator[str]:
    """The authorizer and the guard must mean the same profile, or the guard lets a foreign request pass."""
    demands = asked.check_settings.context_extensions
    if not asked.disabled and demands.keys() != contract.EXTENSIONS:
        yield f"route {route.name!r} hands {', '.join(sorted(demands)) or 'nothing'} to the authorizer"
        return
    profile = contract.PUBLIC_PROFILE if asked.disabled else demands[contract.EXTENSION_PROFILE]
    if not asked.disabled and profile == contract.PUBLIC_PROFILE:
        yield f"route {route.name!r} is authorized under the profile of public routes"
    if route.typed_per_filter_config[names.PROFILE_GUARD] != profile_guard.guarded(profile):
        yield f"route {route.name!r} is not guarded by its own profile {profile!r}"


def _limit_faults(route: route_pb.Route, surroundings: _Surroundings, *, public: bool) -> Iterator[str]:
    own = surroundings.limits.get(contract.route_limits_name(route.name))
    if names.RATELIMIT not in route.typed_per_filter_config:
        if own or (surroundings.plans_limit and not public):
            yield f"route {route.name!r} has limits, its own or a plan's, and asks nobody about them"
        return
    if own is None:
        yield f"route {route.name!r} asks about limits that no policy holds"
    if route.typed_per_filter_config[names.RATELIMIT] != ratelimit.asked(route.name):
        yield f"route {route.name!r} does not ask about limits by its own name"


def _body_faults(route: route_pb.Route) -> Iterator[str]:
    """The default body limit gives way to another one, or to an upgrade, which no limit counts."""
    said = {
        name: route_pb.FilterConfig.FromString(config.value)
        for name, config in route.typed_per_filter_config.items()
        if name.startswith(names.BODY_LIMIT)
    }
    bounded = any(config.HasField("config") and not config.disabled for config in said.values())
    if DEFAULT_LIMIT in said and not bounded and not route.route.upgrade_configs:
        yield f"route {route.name!r} has no body limit"
