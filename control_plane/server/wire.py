"""Requests and responses of both xDS protocols as they are on the wire, and the bytes that streams share.

A response is the concatenation of its body, equal for every stream that gets the same content, and its nonce: protobuf
defines concatenation as a merge, so the large part is serialized once.
"""

import re
from collections.abc import Callable, Hashable, Sized
from dataclasses import dataclass, replace
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2 as discovery_pb
from google.protobuf import any_pb2 as any_pb
from google.protobuf.message import DecodeError

from control_plane.server.exchange import DeltaRequest, Push, SotwRequest
from control_plane.server.stream import TypeRequest
from control_plane.snapshot import Resource
from control_plane.xds.names import ROUTES

# Of responses that were written, so that streams share them.
KEPT_BYTES = 32 << 20
ADS_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
# The field of a node's metadata that says which group of nodes it is of.
GROUP_FIELD = "tollgate_group"
# The field that says that an Envoy takes the virtual hosts of the route table one by one.
HOSTS_FIELD = "tollgate_virtual_hosts"
# Characters of a refusal that are looked at, and that are kept of them.
LONGEST_QUOTED = 1 << 20
LONGEST_REASON = 4_096
# Of a request, of each kind: counted before they become objects, of which tens of millions fit in a message.
MOST_NAMES = 200_000
MOST_FEATURES = 1_000
# A whole resource as text in what Envoy says of it.
QUOTED = re.compile(r"goo\.gle/debug\w*\s.*?(?=: Proto constraint validation failed|\Z)", re.DOTALL)
# How a virtual host that comes by itself begins there: nothing else in the message says which it is.
QUOTED_HOST = re.compile(rf'goo\.gle/debug\w*\s+name:\s+"({re.escape(ROUTES)}/[^"]*)"\s')


@dataclass(frozen=True)
class Node:
    """Who is at the other end of a stream; stated in its first request only."""

    id: str
    cluster: str
    group: str = ""
    features: frozenset[str] = frozenset()
    user_agent: str = ""
    takes_hosts: bool = False


@dataclass(frozen=True)
class Received:
    """A request, read."""

    node: Node
    request: TypeRequest


@dataclass(frozen=True)
class Protocol:
    """One of the two ways to speak xDS: how its requests are read and its responses written.

    `lifetimes` are the names of the features by which a client says that it reads those of resources: one of each set.
    """

    name: str
    lifetimes: tuple[frozenset[str], ...]
    read: Callable[[bytes], Received]
    body: Callable[[Push], bytes]
    nonce: Callable[[str], bytes]

    def reads_lifetimes(self, node: Node) -> bool:
        return all(names & node.features for names in self.lifetimes)


class ResponseBytes:
    """Response bodies by content, shared by the streams; so many bytes of them as are bounded by `limit`."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self.size = 0
        self._bodies: dict[Hashable, tuple[tuple[Resource, ...], bytes]] = {}

    def response(self, protocol: Protocol, push: Push) -> bytes:
        # Resources by identity: to compare thousands by content would cost every stream what writing them costs.
        resources = tuple(map(id, push.resources))
        key = (protocol.name, push.type_url, push.version, push.lifetimes, push.heartbeat, push.removed, resources)
        held = self._bodies.pop(key, None)
        if held is None:
            held = (push.resources, protocol.body(push))  # the resources too, whose ids could be given anew
            self.size += _weight(held)
        self._bodies[key] = held
        while self.size > self._limit and len(self._bodies) > 1:
            self.size -= _weight(self._bodies.pop(next(iter(self._bodies))))
        return held[1] + protocol.nonce(push.nonce)


def _weight(held: tuple[tuple[Resource, ...], bytes]) -> int:
    """The bytes of a body and, about, of what keeps it."""
    return len(held[1]) + 64 * len(held[0]) + 512


def _sotw_request(data: bytes) -> Received:
    message = discovery_pb.DiscoveryRequest.FromString(data)
    _check_counts(message, message.resource_names)
    request = SotwRequest(
        names=tuple(message.resource_names),
        version=message.version_info,
        nonce=message.response_nonce,
        error=_error(message),
    )
    return Received(_node(message), TypeRequest(message.type_url, request))


def _delta_request(data: bytes) -> Received:
    message = discovery_pb.DeltaDiscoveryRequest.FromString(data)
    names = (message.resource_names_subscribe, message.resource_names_unsubscribe, message.initial_resource_versions)
    _check_counts(message, *names)
    request = DeltaRequest(
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial_versions=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=_error(message),
    )
    return Received(_node(message), TypeRequest(message.type_url, request))


def _check_counts(message: Any, *names: Sized) -> None:  # Any: xds-protos has no annotations
    """DecodeError where there is more than a client has use for."""
    if any(len(kind) > MOST_NAMES for kind in names) or len(message.node.client_features) > MOST_FEATURES:
        raise DecodeError("it names more than any client does")


def _node(message: Any) -> Node:  # Any: xds-protos has no annotations
    node = message.node
    return Node(
        node.id,
        node.cluster,
        group=node.metadata.fields[GROUP_FIELD].string_value if GROUP_FIELD in node.metadata.fields else "",
        features=frozenset(node.client_features),
        takes_hosts=HOSTS_FIELD in node.metadata.fields and node.metadata.fields[HOSTS_FIELD].bool_value,
        user_agent=f"{node.user_agent_name} {_user_agent_version(node)}".strip(),
    )


def _user_agent_version(node: Any) -> str:  # Any: xds-protos has no annotations
    if node.HasField("user_agent_build_version"):
        number = node.user_agent_build_version.version
        return f"{number.major_number}.{number.minor_number}.{number.patch}"
    stated: str = node.user_agent_version
    return stated


def _error(message: Any) -> str | None:  # Any: xds-protos has no annotations
    return unquoted(message.error_detail.message).rstrip() if message.HasField("error_detail") else None


def unquoted(reason: str) -> str:
    """What Envoy says of a resource, without the resource as text: it is long, and may hold what is not for logs.

    What is left is cut, since it is kept, shown and logged.
    """
    return QUOTED.sub(_host_of, reason[:LONGEST_QUOTED])[:LONGEST_REASON]


def _host_of(quoted: re.Match[str]) -> str:
    found = QUOTED_HOST.match(quoted.group())
    return f"virtual host '{found.group(1)}'" if found else ""


def _sotw_body(push: Push) -> bytes:
    message = discovery_pb.DiscoveryResponse(
        version_info=push.version, type_url=push.type_url, resources=[_bare(push, item) for item in push.resources]
    )
    return _bytes(message)


def _bare(push: Push, item: Resource) -> any_pb.Any:
    """A resource of the state of the world; with a lifetime it comes in a wrapper, under the version of its type."""
    if item.ttl is None or not push.lifetimes:
        return _packed(item)
    wrapped = any_pb.Any()
    wrapped.Pack(_wrapped(push, replace(item, version=push.version), content=True), deterministic=True)
    return wrapped


def _delta_body(push: Push) -> bytes:
    message = discovery_pb.DeltaDiscoveryResponse(
        system_version_info=push.version,
        type_url=push.type_url,
        resources=[_wrapped(push, item, content=not push.heartbeat) for item in push.resources],
        removed_resources=push.removed,
    )
    return _bytes(message)


def _wrapped(push: Push, item: Resource, *, content: bool) -> Any:  # Any: xds-protos has no annotations
    """A resource without its content confirms what the client has [66]."""
    message = discovery_pb.Resource(name=item.name, version=item.version)
    if content:
        message.resource.CopyFrom(_packed(item))
    if item.ttl is not None and push.lifetimes:
        message.ttl.FromNanoseconds(round(item.ttl * 1e9))
    return message


def _packed(item: Resource) -> any_pb.Any:
    return any_pb.Any(type_url=item.type_url, value=item.body)


def _bytes(message: Any) -> bytes:  # Any: xds-protos has no annotations
    data: bytes = message.SerializeToString(deterministic=True)
    return data


LIFETIMES = frozenset({"xds.config.supports-resource-ttl"})
# The text of the protocol and the list of features name the second differently.
WRAPPERS = frozenset({"xds.config.supports-resource-in-sotw", "xds.config.resource-in-sotw"})

SOTW = Protocol(
    name="sotw",
    lifetimes=(LIFETIMES, WRAPPERS),
    read=_sotw_request,
    body=_sotw_body,
    nonce=lambda nonce: _bytes(discovery_pb.DiscoveryResponse(nonce=nonce)),
)
DELTA = Protocol(
    name="delta",
    lifetimes=(LIFETIMES,),
    read=_delta_request,
    body=_delta_body,
    nonce=lambda nonce: _bytes(discovery_pb.DeltaDiscoveryResponse(nonce=nonce)),
)
