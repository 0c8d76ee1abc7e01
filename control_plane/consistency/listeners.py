"""Listeners: the filters they run, the routes and secrets they want, and the limits that each instance keeps."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from envoy.config.listener.v3 import listener_components_pb2 as listener_components_pb
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)
from google.protobuf import json_format
from xds.type.v3 import typed_struct_pb2 as typed_struct_pb

from control_plane.consistency.filters import TYPED_STRUCT, chain_faults
from control_plane.consistency.native import native_chain_faults
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


@dataclass(frozen=True, slots=True)
class Listener:
    """What matters of a listener."""

    resource: Resource
    chains: tuple[Chain, ...]
    secrets: frozenset[str]


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


def _listener(item: Resource) -> Listener:
    listener = listener_pb.Listener.FromString(item.body)
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
    )


def _owners(chain: Iterable[http_connection_manager_pb.HttpFilter]) -> Iterator[Owner]:
    for link in chain:
        if link.name == names.INSTANCE_LIMITS and link.typed_config.type_url == TYPED_STRUCT:
            struct = typed_struct_pb.TypedStruct.FromString(link.typed_config.value).value
            for descriptor in json_format.MessageToDict(struct)["descriptors"]:
                owner = descriptor["entries"][1]
                yield owner["key"], owner["value"]
