"""Listeners: the filters they run, the routes and secrets they want, and the limits that each instance keeps."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from envoy.config.listener.v3 import listener_components_pb2 as listener_components_pb
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.extensions.filters.http.ext_proc.v3 import ext_proc_pb2 as ext_proc_pb
from envoy.extensions.filters.http.health_check.v3 import health_check_pb2 as health_check_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)
from google.protobuf import json_format
from xds.type.v3 import typed_struct_pb2 as typed_struct_pb

from control_plane.consistency.clusters import Cluster
from control_plane.consistency.filters import TYPED_STRUCT, chain_faults
from control_plane.consistency.native import native_chain_faults
from control_plane.consistency.untold import last_step_faults
from control_plane.reuse import Reused
from control_plane.snapshot import Resource, Snapshot
from control_plane.xds import names
from control_plane.xds.references import visit_secret_references

# Who owns a limit that each instance keeps: the kind of descriptor, and the route or plan.
Owner = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Chain:
    """What matters of the filters behind one way into a listener."""

    listener: str
    faults: tuple[str, ...]
    routes: str
    filters: frozenset[str]
    owners: frozenset[Owner]
    # The clusters without which it is not ready.
    needed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Listener:
    """What matters of a listener."""

    resource: Resource
    chains: tuple[Chain, ...]
    secrets: frozenset[str]
    # Of one of Envoy's own, the clusters that it calls, None of others; and what is wrong with it.
    behind: frozenset[str] | None = None
    faults: tuple[str, ...] = ()


class Listeners:
    """Reads listeners, each once."""

    def __init__(self) -> None:
        self.read: Reused[int, Listener] = Reused()

    def of(self, snapshot: Snapshot) -> list[Listener]:
        """The listeners of a snapshot."""
        return [self._listener(item) for item in snapshot.of(names.LISTENER_TYPE).values()]

    def _listener(self, item: Resource) -> Listener:
        known = self.read.get(id(item))
        if known is None:
            known = self.read[id(item)] = _listener(item)
        return known


def chain_problems(listeners: Iterable[Listener], snapshot: Snapshot) -> Iterator[str]:
    """What is wrong with the filters of listeners, and routes that are not there."""
    for chain in (chain for listener in listeners for chain in listener.chains):
        yield from chain.faults
        if chain.routes not in snapshot.of(names.ROUTES_TYPE):
            yield f"listener {chain.listener!r} wants routes {chain.routes!r}, which are not there"
        for name in sorted(chain.needed - snapshot.of(names.CLUSTER_TYPE).keys()):
            yield f"listener {chain.listener!r} is never ready: it needs cluster {name!r}, which is not there"


def passage_faults(clusters: Mapping[str, Cluster], listeners: Collection[Listener]) -> Iterator[str]:
    """Listeners of Envoy's own, beside the clusters in front of them and behind."""
    yield from (fault for item in listeners for fault in item.faults)
    inside = {item.resource.name: item.behind for item in listeners if item.behind is not None}
    wanted = frozenset[str]().union(*(cluster.inside for cluster in clusters.values()))
    yield from (
        f"listener {name!r} is wanted by a cluster, and is not there" for name in sorted(wanted - inside.keys())
    )
    yield from (f"listener {name!r} is there, and no cluster leads to it" for name in sorted(inside.keys() - wanted))
    for name, behind in inside.items():
        for cluster in sorted(behind - clusters.keys()):
            yield f"listener {name!r} calls cluster {cluster!r}, which is not there"


def _inside(listener: listener_pb.Listener, item: Resource) -> Listener:
    manager = http_connection_manager_pb.HttpConnectionManager()
    listener.filter_chains[0].filters[0].typed_config.Unpack(manager)
    routes = [route for host in manager.route_config.virtual_hosts for route in host.routes]
    found = {route.route.cluster for route in routes}
    for link in manager.http_filters:
        processor = ext_proc_pb.ExternalProcessor()
        if link.typed_config.Unpack(processor):
            found.add(processor.grpc_service.envoy_grpc.cluster_name)
    faults = tuple(fault for route in routes for fault in last_step_faults(route))
    return Listener(item, (), frozenset(), frozenset(found), faults)


def _listener(item: Resource) -> Listener:
    listener = listener_pb.Listener.FromString(item.body)
    if listener.HasField("internal_listener"):
        return _inside(listener, item)
    wanted: set[str] = set()
    for chain in listener.filter_chains:
        visit_secret_references(chain.transport_socket, lambda found: wanted.add(found.name))
    return Listener(item, tuple(_chain(listener.name, chain) for chain in listener.filter_chains), frozenset(wanted))


def _chain(listener: str, chain: listener_components_pb.FilterChain) -> Chain:
    manager = http_connection_manager_pb.HttpConnectionManager()
    chain.filters[-1].typed_config.Unpack(manager)
    return Chain(
        listener=listener,
        faults=(
            *chain_faults(listener, manager.http_filters),
            *native_chain_faults(listener, manager.http_filters),
        ),
        routes=manager.rds.route_config_name,
        filters=frozenset(link.name for link in manager.http_filters),
        owners=frozenset(_owners(manager.http_filters)),
        needed=frozenset(_needed(manager.http_filters)),
    )


def _needed(chain: Iterable[http_connection_manager_pb.HttpFilter]) -> Iterator[str]:
    for link in chain:
        if link.name == names.READY:
            yield from health_check_pb.HealthCheck.FromString(link.typed_config.value).cluster_min_healthy_percentages


def _owners(chain: Iterable[http_connection_manager_pb.HttpFilter]) -> Iterator[Owner]:
    for link in chain:
        if link.name == names.INSTANCE_LIMITS and link.typed_config.type_url == TYPED_STRUCT:
            struct = typed_struct_pb.TypedStruct.FromString(link.typed_config.value).value
            for descriptor in json_format.MessageToDict(struct)["descriptors"]:
                owner = descriptor["entries"][1]
                yield owner["key"], owner["value"]
