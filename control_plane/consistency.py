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
from envoy.extensions.filters.http.ratelimit.v3 import rate_limit_pb2 as rate_limit_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as http_options_pb
from google.protobuf import json_format
from xds.type.v3 import typed_struct_pb2 as typed_struct_pb

from control_plane.config.model import DEFAULT_BODY_LIMIT
from control_plane.snapshot import Snapshot
from control_plane.xds import names
from control_plane.xds.clusters.protocol import HTTP_OPTIONS
from control_plane.xds.filters import bandwidth, body_rewrite, profile_guard, ratelimit
from control_plane.xds.filters.instance_limits import PLAN, ROUTE
from control_plane.xds.filters.per_route import OFF, ON
from control_plane.xds.packing import TYPE_PREFIX
from control_plane.xds.references import visit_secret_references
from service_kit import contract
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

FILTER_CONFIG: Final = TYPE_PREFIX + route_pb.FilterConfig.DESCRIPTOR.full_name
EXTENSIONS: Final = TYPE_PREFIX + "envoy.extensions.filters.http."
DEFAULT_LIMIT: Final = names.body_limit(DEFAULT_BODY_LIMIT)
TYPED_STRUCT: Final = TYPE_PREFIX + typed_struct_pb.TypedStruct.DESCRIPTOR.full_name
# The filters that judge a request, with their types: in every listener, on, in this order; others may stand between.
JUDGES: Final[Mapping[str, str]] = {
    DEFAULT_LIMIT: TYPED_STRUCT,
    names.IP_LIST: EXTENSIONS + "rbac.v3.RBAC",
    names.EXT_AUTHZ: EXTENSIONS + "ext_authz.v3.ExtAuthz",
    names.IDENTITY: EXTENSIONS + "header_to_metadata.v3.Config",
    names.PROFILE_GUARD: EXTENSIONS + "rbac.v3.RBAC",
    names.RATELIMIT: EXTENSIONS + "ratelimit.v3.RateLimit",
    names.ROUTER: EXTENSIONS + "router.v3.Router",
}
# What a route may say to each filter; to an instance of several, by what its name begins with.
PER_ROUTE_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    names.CORS: (EXTENSIONS + "cors.v3.CorsPolicy",),
    names.CORS_VARY: (FILTER_CONFIG,),
    names.IP_LIST: (FILTER_CONFIG, EXTENSIONS + "rbac.v3.RBACPerRoute"),
    names.EXT_AUTHZ: (EXTENSIONS + "ext_authz.v3.ExtAuthzPerRoute",),
    names.PROFILE_GUARD: (EXTENSIONS + "rbac.v3.RBACPerRoute",),
    names.INSTANCE_LIMITS: (FILTER_CONFIG,),
    names.RATELIMIT: (EXTENSIONS + "ratelimit.v3.RateLimitPerRoute",),
    names.BODY_REWRITE: (EXTENSIONS + "transform.v3.TransformConfig",),
    names.BODY_GUARD: (EXTENSIONS + "rbac.v3.RBACPerRoute",),
    names.FAULT: (EXTENSIONS + "fault.v3.HTTPFault",),
    names.CACHE_EDGE: (FILTER_CONFIG,),
    names.CACHE: (FILTER_CONFIG,),
}
INSTANCES: Final = (names.BODY_LIMIT, names.ADAPTIVE_CONCURRENCY, names.BANDWIDTH)
# What every route must say something to: it is on for those that do not.
NEVER_FORGOTTEN: Final = (names.IP_LIST, names.EXT_AUTHZ, names.PROFILE_GUARD)
# Filters that some routes turn on: off for all others, and always there where a rule must hold for connections that
# keep the filters they began with.
SWITCHED: Final[Mapping[str, str]] = {
    names.CORS_VARY: EXTENSIONS + "header_mutation.v3.HeaderMutation",
    names.CORS: EXTENSIONS + "cors.v3.Cors",
    names.INSTANCE_LIMITS: TYPED_STRUCT,
    names.BODY_REWRITE: EXTENSIONS + "transform.v3.TransformConfig",
    names.BODY_GUARD: EXTENSIONS + "rbac.v3.RBAC",
    names.FAULT: EXTENSIONS + "fault.v3.HTTPFault",
    names.ADAPTIVE_CONCURRENCY: EXTENSIONS + "adaptive_concurrency.v3.AdaptiveConcurrency",
    names.BANDWIDTH: EXTENSIONS + "bandwidth_limit.v3.BandwidthLimit",
    names.CACHE_EDGE: EXTENSIONS + "lua.v3.Lua",
    names.CACHE: EXTENSIONS + "cache_v2.v3.CacheV2Config",
}
ALWAYS_THERE: Final = (names.BODY_REWRITE, names.BODY_GUARD)
TOGETHER: Final = ((names.CORS_VARY, names.CORS), (names.CACHE_EDGE, names.CACHE))
# The order of all of them, by name or by what the names of several instances begin with.
PLACES: Final = (
    names.CORS_VARY,
    names.CORS,
    DEFAULT_LIMIT,
    names.IP_LIST,
    names.EXT_AUTHZ,
    names.IDENTITY,
    names.PROFILE_GUARD,
    names.INSTANCE_LIMITS,
    names.RATELIMIT,
    names.BODY_REWRITE,
    names.BODY_GUARD,
    names.FAULT,
    names.ADAPTIVE_CONCURRENCY,
    names.BANDWIDTH,
    names.CACHE_EDGE,
    names.CACHE,
    names.ROUTER,
)
# Clusters that the filters call.
CALLED: Final = (names.AUTHZ_CLUSTER, names.RATELIMIT_CLUSTER)


class InconsistentSnapshot(Exception):  # noqa: N818 - it is the snapshot that is inconsistent
    """A snapshot that must not be published: a fault of the compiler, not of the configuration."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


@dataclass(frozen=True)
class _Surroundings:
    """What routes refer to; `limits` counts the limits of each set, `buckets` names the owners of local limits."""

    clusters: AbstractSet[str]
    http2_clusters: AbstractSet[str]
    kept_clusters: AbstractSet[str]
    filters: AbstractSet[str]
    limits: Mapping[str, int]
    buckets: Mapping[str, AbstractSet[str]]

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
    yield from _secret_faults(snapshot)
    chains = [chain for item in snapshot.of(names.LISTENER_TYPE).values() for chain in _chains(item.body)]
    for listener, manager in chains:
        yield from _chain_faults(listener, manager.http_filters)
        if manager.rds.route_config_name not in snapshot.of(names.ROUTES_TYPE):
            yield f"listener {listener!r} wants routes {manager.rds.route_config_name!r}, which are not there"
    options = dict(_http_options(snapshot))
    surroundings = _Surroundings(
        clusters=options.keys(),
        http2_clusters={name for name, spoken in options.items() if _speaks_http2(spoken)},
        kept_clusters={name for name, spoken in options.items() if _keeps_answers(spoken)},
        filters=_shared(manager.http_filters for _, manager in chains),
        limits=_limit_counts(policies),
        buckets=_owners_of_buckets(manager for _, manager in chains),
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


def _http_options(snapshot: Snapshot) -> Iterator[tuple[str, http_options_pb.HttpProtocolOptions]]:
    """How HTTP is spoken with each cluster."""
    for name, item in snapshot.of(names.CLUSTER_TYPE).items():
        options = http_options_pb.HttpProtocolOptions()
        cluster_pb.Cluster.FromString(item.body).typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
        yield name, options


def _speaks_http2(options: http_options_pb.HttpProtocolOptions) -> bool:
    return bool(options.explicit_http_config.HasField("http2_protocol_options"))


def _keeps_answers(options: http_options_pb.HttpProtocolOptions) -> bool:
    """Whether answers of the cluster may be kept: what one visitor alone may see is marked there."""
    return any(link.name == names.KEPT_ANSWERS for link in options.http_filters)


def _secret_faults(snapshot: Snapshot) -> Iterator[str]:
    """Envoy waits for a secret that nobody has, and the cluster or listener that wants it never comes to be."""
    wanted: set[str] = set()
    for item in snapshot.of(names.CLUSTER_TYPE).values():
        visit_secret_references(cluster_pb.Cluster.FromString(item.body), lambda found: wanted.add(found.name))
    for item in snapshot.of(names.LISTENER_TYPE).values():
        for chain in listener_pb.Listener.FromString(item.body).filter_chains:
            visit_secret_references(chain.transport_socket, lambda found: wanted.add(found.name))
    secrets = snapshot.of(names.SECRET_TYPE).keys()
    yield from (f"secret {name!r} is wanted, and is not there" for name in sorted(wanted - secrets))
    yield from (f"secret {name!r} is there, and nothing wants it" for name in sorted(secrets - wanted))


def _chains(body: bytes) -> Iterator[tuple[str, http_connection_manager_pb.HttpConnectionManager]]:
    """Every connection manager of a serialized listener, with the listener's name."""
    listener = listener_pb.Listener.FromString(body)
    for chain in listener.filter_chains:
        manager = http_connection_manager_pb.HttpConnectionManager()
        chain.filters[-1].typed_config.Unpack(manager)
        yield listener.name, manager


def _shared(chains: Iterable[Iterable[http_connection_manager_pb.HttpFilter]]) -> AbstractSet[str]:
    """The names of the filters that every listener has: routes are shared by all."""
    named = [frozenset(link.name for link in chain) for chain in chains]
    return frozenset.intersection(*named) if named else frozenset(JUDGES)


def _limit_counts(policies: Snapshot) -> Mapping[str, int]:
    sets = policies.of(contract.LIMIT_SET_TYPE).items()
    return {name: len(policy_pb.LimitSet.FromString(item.body).limits) for name, item in sets}


def _owners_of_buckets(managers: Iterable[http_connection_manager_pb.HttpConnectionManager]) -> Mapping[str, set[str]]:
    """Routes and plans with limits that each instance keeps, as the descriptors of every listener name them."""
    everywhere = [frozenset(_owners(manager.http_filters)) for manager in managers]
    owners = frozenset[tuple[str, str]].intersection(*everywhere) if everywhere else frozenset()
    return {kind: {name for owner, name in owners if owner == kind} for kind in (ROUTE, PLAN)}


def _owners(chain: Iterable[http_connection_manager_pb.HttpFilter]) -> Iterator[tuple[str, str]]:
    for link in chain:
        if link.name == names.INSTANCE_LIMITS and link.typed_config.type_url == TYPED_STRUCT:
            struct = typed_struct_pb.TypedStruct.FromString(link.typed_config.value).value
            for descriptor in json_format.MessageToDict(struct)["descriptors"]:
                owner = descriptor["entries"][1]
                yield owner["key"], owner["value"]


def _chain_faults(listener: str, chain: Sequence[http_connection_manager_pb.HttpFilter]) -> Iterator[str]:
    found = [link.name for link in chain if link.name in JUDGES]
    if found != list(JUDGES) or chain[-1].name != names.ROUTER:
        yield f"listener {listener!r} runs {', '.join(found)}; a request is judged by {', '.join(JUDGES)}"
    placed = [_kind(link.name) for link in chain if _kind(link.name) in PLACES]
    if placed != sorted(placed, key=PLACES.index):
        yield f"listener {listener!r} runs {', '.join(placed)}; their order is {', '.join(PLACES)}"
    yield from (f"listener {listener!r} has no filter {name!r}" for name in ALWAYS_THERE if name not in placed)
    for link in chain:
        yield from _link_faults(listener, link)


def _link_faults(listener: str, link: http_connection_manager_pb.HttpFilter) -> Iterator[str]:
    kind = _kind(link.name)
    if kind in JUDGES and (link.disabled or link.is_optional):
        yield f"listener {listener!r} has filter {link.name!r} off, or optional"
    if kind in SWITCHED and (not link.disabled or link.is_optional):
        yield f"listener {listener!r} has filter {link.name!r} on for all routes, or optional"
    if link.typed_config.type_url != {**JUDGES, **SWITCHED}.get(kind, link.typed_config.type_url):
        yield f"listener {listener!r} has {link.typed_config.type_url} as filter {link.name!r}"


def _kind(name: str) -> str:
    """The filter's name, or of several instances for routes what all their names begin with."""
    return next((kind for kind in (names.ADAPTIVE_CONCURRENCY, names.BANDWIDTH) if name.startswith(f"{kind}.")), name)


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
    if route.HasField("route"):
        for cluster in (*_clusters(route.route), *(mirror.cluster for mirror in route.route.request_mirror_policies)):
            if cluster not in surroundings.clusters:
                yield f"route {route.name!r} goes to cluster {cluster!r}, which is not there"
    misread = tuple(_misread(route, surroundings.filters))
    yield from misread
    if misread:
        return  # what follows reads these messages
    asked = ext_authz_pb.ExtAuthzPerRoute.FromString(route.typed_per_filter_config[names.EXT_AUTHZ].value)
    yield from _profile_faults(route, asked)
    yield from _limit_faults(route, surroundings, public=asked.disabled)
    yield from _instance_limit_faults(route, surroundings, public=asked.disabled)
    yield from _body_faults(route, surroundings)
    yield from _rewrite_faults(route)
    yield from _switch_faults(route, surroundings.filters)
    if names.CACHE in route.typed_per_filter_config and not surroundings.kept_clusters >= set(_clusters(route.route)):
        yield f"route {route.name!r} keeps answers of an upstream that does not mark what is for one alone"


def _clusters(action: route_pb.RouteAction) -> tuple[str, ...]:
    """Where the requests of a route may go."""
    return tuple(item.name for item in action.weighted_clusters.clusters) or (action.cluster,)


def _misread(route: route_pb.Route, filters: AbstractSet[str]) -> Iterator[str]:
    """What a route says to a filter that is not there or would not read it, and filters that it forgets."""
    for name, config in route.typed_per_filter_config.items():
        readable = (FILTER_CONFIG,) if _is_instance(name) else PER_ROUTE_TYPES.get(name, ())
        if name not in filters:
            yield f"route {route.name!r} speaks to filter {name!r}, which is not in the chain"
        elif config.type_url not in readable:
            yield f"route {route.name!r} says {config.type_url} to filter {name!r}, which does not read it"
    for name in NEVER_FORGOTTEN:
        if name not in route.typed_per_filter_config:
            yield f"route {route.name!r} says nothing to filter {name!r}"


def _is_instance(name: str) -> bool:
    return any(name.startswith(f"{kind}.") for kind in INSTANCES)


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
        # Where Envoy answers by itself, it makes no call.
        if own or (surroundings.plans_limit and not public and route.HasField("route")):
            yield f"route {route.name!r} has limits, its own or a plan's, and asks nobody about them"
        return
    if own is None:
        yield f"route {route.name!r} asks about limits that no policy holds"
    said = rate_limit_pb.RateLimitPerRoute.FromString(route.typed_per_filter_config[names.RATELIMIT].value)
    cost = said.rate_limits[0].hits_addend.number.value if said.rate_limits else 0
    if route.typed_per_filter_config[names.RATELIMIT] != ratelimit.asked(route.name, cost=cost or 1):
        yield f"route {route.name!r} does not ask about limits by its own name"


def _instance_limit_faults(route: route_pb.Route, surroundings: _Surroundings, *, public: bool) -> Iterator[str]:
    """A bucket is found by what a route says about itself; one that says nothing is not limited."""
    limited = route.name in surroundings.buckets[ROUTE] or (bool(surroundings.buckets[PLAN]) and not public)
    if (names.INSTANCE_LIMITS in route.typed_per_filter_config) != (limited and route.HasField("route")):
        yield f"route {route.name!r} has limits of each instance and does not turn them on, or the other way round"
    if not limited or not route.HasField("route"):
        return
    said = route.metadata.filter_metadata[names.ROUTE_METADATA].fields
    if said[names.ROUTE_METADATA_NAME].string_value != route.name or said[names.ROUTE_METADATA_COST].number_value < 1:
        yield f"route {route.name!r} does not tell its limits who it is and what it costs"


def _rewrite_faults(route: route_pb.Route) -> Iterator[str]:
    """What is rewritten is guarded, or what could not be rewritten would pass."""
    said = dict(route.typed_per_filter_config)
    rewrites = names.BODY_REWRITE in said
    if said.get(names.BODY_GUARD) != (body_rewrite.GUARD if rewrites else None):
        yield f"route {route.name!r} rewrites bodies without a guard, or guards without rewriting"
    if rewrites and body_rewrite.MARK not in route.request_headers_to_remove:
        yield f"route {route.name!r} shows its upstream {body_rewrite.MARK}"


def _switch_faults(route: route_pb.Route, filters: AbstractSet[str]) -> Iterator[str]:
    """A switch that is neither on nor off, one of two without the other, an instance that its own route leaves off."""
    said = dict(route.typed_per_filter_config)
    for name, config in said.items():
        if config.type_url == FILTER_CONFIG and config not in (OFF, ON):
            yield f"route {route.name!r} turns filter {name!r} neither on nor off"
    for first, second in TOGETHER:
        if (first in said) != (second in said):
            yield f"route {route.name!r} speaks to one of the filters {first!r} and {second!r} alone"
    own = {names.adaptive_concurrency(route.name), *(names.bandwidth(route.name, way) for way in bandwidth.MODES)}
    yield from (f"route {route.name!r} leaves its filter {name!r} off" for name in own & filters - said.keys())


def _body_faults(route: route_pb.Route, surroundings: _Surroundings) -> Iterator[str]:
    """The default body limit gives way to another one, or to an upgrade or a stream of gRPC, which no limit counts."""
    said = {
        name: route_pb.FilterConfig.FromString(config.value)
        for name, config in route.typed_per_filter_config.items()
        if name.startswith(names.BODY_LIMIT)
    }
    bounded = any(config.HasField("config") and not config.disabled for config in said.values())
    endless = bool(route.route.upgrade_configs) or surroundings.http2_clusters >= set(_clusters(route.route))
    if DEFAULT_LIMIT in said and not bounded and not endless:
        yield f"route {route.name!r} has no body limit"
