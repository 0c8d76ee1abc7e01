"""Requests and responses of both xDS protocols as they are on the wire, and the bytes that streams share.

A response is the concatenation of its body, equal for every stream that gets the same content, and its nonce: protobuf
defines concatenation as a merge, so the large part is serialized once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2 as discovery_pb
from google.protobuf import any_pb2 as any_pb

from control_plane.server.stream import TypeRequest
from control_plane.server.subscription import DeltaRequest, Push, SotwRequest
from control_plane.snapshot import Resource

ADS_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


@dataclass(frozen=True)
class Node:
    """Who is at the other end of a stream; stated in its first request only."""

    id: str
    cluster: str


@dataclass(frozen=True)
class Received:
    """A request, read."""

    node: Node
    request: TypeRequest


@dataclass(frozen=True)
class Protocol:
    """One of the two ways to speak xDS: how its requests are read and its responses written."""

    name: str
    method: str
    read: Callable[[bytes], Received]
    body: Callable[[Push], bytes]
    nonce: Callable[[str], bytes]


class ResponseBytes:
    """Response bodies by content, shared by the streams; dropped with the snapshot they came from."""

    def __init__(self) -> None:
        self._bodies: dict[tuple[object, ...], bytes] = {}

    def response(self, protocol: Protocol, push: Push) -> bytes:
        key = (protocol.name, push.type_url, push.version, push.resources, push.removed)
        body = self._bodies.get(key)
        if body is None:
            body = self._bodies[key] = protocol.body(push)
        return body + protocol.nonce(push.nonce)

    def clear(self) -> None:
        self._bodies.clear()


def _sotw_request(data: bytes) -> Received:
    message = discovery_pb.DiscoveryRequest.FromString(data)
    request = SotwRequest(
        names=tuple(message.resource_names),
        version=message.version_info,
        nonce=message.response_nonce,
        error=_error(message),
    )
    return Received(_node(message), TypeRequest(message.type_url, request))


def _delta_request(data: bytes) -> Received:
    message = discovery_pb.DeltaDiscoveryRequest.FromString(data)
    request = DeltaRequest(
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial_versions=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=_error(message),
    )
    return Received(_node(message), TypeRequest(message.type_url, request))


def _node(message: Any) -> Node:  # Any: xds-protos has no annotations
    return Node(message.node.id, message.node.cluster)


def _error(message: Any) -> str | None:  # Any: xds-protos has no annotations
    return message.error_detail.message if message.HasField("error_detail") else None


def _sotw_body(push: Push) -> bytes:
    message = discovery_pb.DiscoveryResponse(
        version_info=push.version, type_url=push.type_url, resources=[_packed(item) for item in push.resources]
    )
    return _bytes(message)


def _delta_body(push: Push) -> bytes:
    message = discovery_pb.DeltaDiscoveryResponse(
        system_version_info=push.version,
        type_url=push.type_url,
        resources=[
            discovery_pb.Resource(name=item.name, version=item.version, resource=_packed(item))
            for item in push.resources
        ],
        removed_resources=push.removed,
    )
    return _bytes(message)


def _packed(item: Resource) -> any_pb.Any:
    return any_pb.Any(type_url=item.type_url, value=item.body)


def _bytes(message: Any) -> bytes:  # Any: xds-protos has no annotations
    data: bytes = message.SerializeToString(deterministic=True)
    return data


SOTW = Protocol(
    name="sotw",
    method="StreamAggregatedResources",
    read=_sotw_request,
    body=_sotw_body,
    nonce=lambda nonce: _bytes(discovery_pb.DiscoveryResponse(nonce=nonce)),
)
DELTA = Protocol(
    name="delta",
    method="DeltaAggregatedResources",
    read=_delta_request,
    body=_delta_body,
    nonce=lambda nonce: _bytes(discovery_pb.DeltaDiscoveryResponse(nonce=nonce)),
)
PROTOCOLS = (SOTW, DELTA)
