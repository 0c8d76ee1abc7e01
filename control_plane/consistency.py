"""What a snapshot must hold before it may be published, checked on the bytes that would go out.

A misspelt filter name or a message of the wrong type in `typed_per_filter_config` passes Envoy's own validation and
switches a rule off in silence; a route to a cluster that is not there answers 503. Neither is ever published.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)

from control_plane.snapshot import Snapshot
from control_plane.xds import names
from control_plane.xds.packing import TYPE_PREFIX

FILTER_CONFIG = TYPE_PREFIX + route_pb.FilterConfig.DESCRIPTOR.full_name
EXTENSIONS = TYPE_PREFIX + "envoy.extensions.filters.http."
# The message a route may say to each filter, beside switching it off or on.
PER_ROUTE_TYPES = {
    names.EXT_AUTHZ: EXTENSIONS + "ext_authz.v3.ExtAuthzPerRoute",
    names.PROFILE_GUARD: EXTENSIONS + "rbac.v3.RBACPerRoute",
    names.RATELIMIT: EXTENSIONS + "ratelimit.v3.RateLimitPerRoute",
}
# Filters that no route may switch off, and that every route must speak to.
ALWAYS_SPOKEN_TO = (names.EXT_AUTHZ, names.PROFILE_GUARD)


class InconsistentSnapshot(Exception):  # noqa: N818 - it is the snapshot that is inconsistent
    """A snapshot that must not be published: a fault of the compiler, not of the configuration."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


def checked(snapshot: Snapshot) -> Snapshot:
    """The snapshot, or InconsistentSnapshot with every fault found."""
    if faults := tuple(_faults(snapshot)):
        raise InconsistentSnapshot(faults)
    return snapshot


def _faults(snapshot: Snapshot) -> Iterator[str]:
    clusters = {
        name: cluster_pb.Cluster.FromString(item.body) for name, item in snapshot.of(names.CLUSTER_TYPE).items()
    }
    endpoints = snapshot.of(names.ENDPOINTS_TYPE)
    for name, cluster in clusters.items():
        if (cluster.type == cluster_pb.Cluster.EDS) != (name in endpoints):
            yield f"cluster {name!r} and its endpoints do not belong together"
    filters: set[str] = set()
    for item in snapshot.of(names.LISTENER_TYPE).values():
        for manager in _managers(listener_pb.Listener.FromString(item.body)):
            filters |= {link.name for link in manager.http_filters}
            if manager.rds.route_config_name not in snapshot.of(names.ROUTES_TYPE):
                yield f"listener {item.name!r} wants routes {manager.rds.route_config_name!r}, which are not there"
    for item in snapshot.of(names.ROUTES_TYPE).values():
        configuration = route_configuration_pb.RouteConfiguration.FromString(item.body)
        for host in configuration.virtual_hosts:
            for route in host.routes:
                yield from _route_faults(route, clusters, filters)


def _managers(
    listener: listener_pb.Listener,
) -> Iterator[http_connection_manager_pb.HttpConnectionManager]:
    for chain in listener.filter_chains:
        manager = http_connection_manager_pb.HttpConnectionManager()
        chain.filters[0].typed_config.Unpack(manager)
        yield manager


def _route_faults(
    route: route_pb.Route, clusters: Mapping[str, cluster_pb.Cluster], filters: AbstractSet[str]
) -> Iterator[str]:
    cluster = route.route.cluster
    if cluster and cluster not in clusters:
        yield f"route {route.name!r} goes to cluster {cluster!r}, which is not there"
    for name, config in route.typed_per_filter_config.items():
        if name not in filters:
            yield f"route {route.name!r} speaks to filter {name!r}, which is not in the chain"
        elif config.type_url not in (FILTER_CONFIG, PER_ROUTE_TYPES.get(name)):
            yield f"route {route.name!r} says {config.type_url} to filter {name!r}, which does not read it"
    for name in ALWAYS_SPOKEN_TO:
        config = route.typed_per_filter_config.get(name)
        if config is None or config.type_url == FILTER_CONFIG:
            yield f"route {route.name!r} says nothing of its own to filter {name!r}"
