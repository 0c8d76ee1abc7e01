"""What each group of Envoys must see of a snapshot: all that its listeners need, and no secret that they do not."""

from collections.abc import Iterator

from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)
from google.protobuf.message import Message

from control_plane.snapshot import Resource, Snapshot
from control_plane.xds import names
from control_plane.xds.references import visit_secret_references
from control_plane.xds.visibility import seen_by

# Routes are shared by all listeners, so what they lead to is for every Envoy.
FOR_EVERYBODY = (names.CLUSTER_TYPE, names.ENDPOINTS_TYPE)


def group_faults(snapshot: Snapshot) -> Iterator[str]:
    """Resources that some group misses, and secrets that some group has for nothing."""
    if not any(item.groups for named in snapshot.resources.values() for item in named.values()):
        return
    for type_url in FOR_EVERYBODY:
        yield from (
            f"{item.name!r} is kept from groups of Envoys" for item in snapshot.of(type_url).values() if item.groups
        )
    users = _users(snapshot)
    for (type_url, name), groups in users.items():
        item = snapshot.of(type_url).get(name)  # one that is not there at all is a fault of its own
        if item is not None and any(not _sees(group, item) for group in groups):
            yield f"{name!r} is kept from Envoys that need it"
    for item in snapshot.of(names.SECRET_TYPE).values():
        needed = seen_by(users.get((names.SECRET_TYPE, item.name), ()))
        if needed and (not item.groups or item.groups - needed):
            yield f"secret {item.name!r} is sent to Envoys that do not need it"


def _sees(user: frozenset[str], item: Resource) -> bool:
    """Whether all who have the user see the item."""
    return not item.groups or (bool(user) and user <= item.groups)


def _users(snapshot: Snapshot) -> dict[tuple[str, str], list[frozenset[str]]]:
    """By type and name, the groups of each resource that refers to it."""
    found: dict[tuple[str, str], list[frozenset[str]]] = {}
    for item in snapshot.of(names.LISTENER_TYPE).values():
        listener = listener_pb.Listener.FromString(item.body)
        # One that Envoy has for itself holds its routes, and no secret.
        for chain in () if listener.HasField("internal_listener") else listener.filter_chains:
            manager = http_connection_manager_pb.HttpConnectionManager()
            chain.filters[-1].typed_config.Unpack(manager)
            found.setdefault((names.ROUTES_TYPE, manager.rds.route_config_name), []).append(item.groups)
            for name in _secrets_of(chain.transport_socket):
                found.setdefault((names.SECRET_TYPE, name), []).append(item.groups)
    for item in snapshot.of(names.CLUSTER_TYPE).values():
        for name in _secrets_of(cluster_pb.Cluster.FromString(item.body)):
            found.setdefault((names.SECRET_TYPE, name), []).append(item.groups)
    return found


def _secrets_of(message: Message) -> list[str]:
    wanted: list[str] = []
    visit_secret_references(message, lambda reference: wanted.append(reference.name))
    return wanted
