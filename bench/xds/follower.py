"""A client that asks as Envoy does and accepts everything unread: what it costs is sending and receiving.

Clusters and listeners come first, endpoints when there are clusters, routes when there is a listener that names them,
and their virtual hosts where the client takes those one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.service.discovery.v3 import discovery_pb2 as discovery_pb

from bench.xds.envelope import Envelope, envelope
from control_plane.server.services import ADS
from control_plane.server.types import ENVOYS
from control_plane.server.wire import HOSTS_FIELD
from control_plane.xds.names import (
    CLUSTER_TYPE,
    ENDPOINTS_TYPE,
    LISTENER_TYPE,
    ROUTES,
    ROUTES_TYPE,
    VIRTUAL_HOST_TYPE,
)
from service_kit.clock import Clock

# What is asked for when something of another type has come.
CHILDREN: Mapping[str, str] = {
    CLUSTER_TYPE: ENDPOINTS_TYPE, LISTENER_TYPE: ROUTES_TYPE, ROUTES_TYPE: VIRTUAL_HOST_TYPE,
}  # fmt: skip
Call = Any  # Any: a call of grpc.aio on bytes


@dataclass(frozen=True)
class Asked:
    """What a client asks for: `names` by type, nothing for a type of which it wants all."""

    delta: bool
    names: Mapping[str, Sequence[str]]

    @property
    def takes_hosts(self) -> bool:
        """Whether the route table comes by its virtual hosts."""
        return VIRTUAL_HOST_TYPE in self.names


def asked(*, delta: bool, hosts: bool, upstreams: Sequence[str], routes: bool) -> Asked:
    """What an Envoy asks for that runs these upstreams, or one that has no use for routes."""
    wanted = {CLUSTER_TYPE: (), LISTENER_TYPE: (), ENDPOINTS_TYPE: tuple(upstreams)}
    if routes:
        wanted |= {ROUTES_TYPE: (ROUTES,)}
    if routes and hosts:
        wanted |= {VIRTUAL_HOST_TYPE: ()}
    return Asked(delta, wanted)


@dataclass
class Received:
    """What has come since it was last forgotten: how much, and when the first came and the last was ACKed."""

    responses: int = 0
    size: int = 0
    first: float = 0.0
    last: float = 0.0


class Follower:
    """One stream."""

    def __init__(self, channel: grpc.aio.Channel, node: str, wanted: Asked, clock: Clock) -> None:
        method = "Delta" if wanted.delta else "Stream"
        self._call: Call = channel.stream_stream(f"/{ADS.name}/{method}{ADS.resources}")()
        self._node: base_pb.Node | None = base_pb.Node(id=node, cluster=ENVOYS.cluster)
        self._node.metadata.update({HOSTS_FIELD: wanted.takes_hosts})
        self._wanted = wanted
        self._clock = clock
        self._nonces: dict[str, str] = {}
        self.received = Received()

    def forget(self) -> None:
        self.received = Received()

    async def follow(self) -> None:
        """Accepts whatever comes, until the stream ends."""
        await self._ask(CLUSTER_TYPE)
        await self._ask(LISTENER_TYPE)
        while (data := await self._call.read()) is not grpc.aio.EOF:
            at = self._clock.monotonic()
            await self._accept(envelope(data))
            self._note(len(data), at)

    def end(self) -> None:
        self._call.cancel()

    def _note(self, size: int, at: float) -> None:
        seen = self.received
        seen.first = seen.first or at
        seen.last = self._clock.monotonic()
        seen.responses += 1
        seen.size += size

    async def _accept(self, came: Envelope) -> None:
        is_first = came.type_url not in self._nonces
        self._nonces[came.type_url] = came.nonce
        ack = {"type_url": came.type_url, "response_nonce": came.nonce}
        if self._wanted.delta:
            await self._write(discovery_pb.DeltaDiscoveryRequest(**ack))
        else:
            names = self._wanted.names[came.type_url]
            await self._write(discovery_pb.DiscoveryRequest(**ack, version_info=came.version, resource_names=names))
        child = CHILDREN.get(came.type_url)
        # State of the world: Envoy asks again for the endpoints of clusters and the routes of listeners that changed.
        if child is not None and child in self._wanted.names and (is_first or not self._wanted.delta):
            await self._ask(child)

    async def _ask(self, type_url: str) -> None:
        names = self._wanted.names[type_url]
        if self._wanted.delta:
            await self._write(discovery_pb.DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=names))
        else:
            nonce = self._nonces.get(type_url, "")
            request = discovery_pb.DiscoveryRequest(type_url=type_url, resource_names=names, response_nonce=nonce)
            await self._write(request)

    async def _write(self, request: Any) -> None:  # Any: xds-protos has no annotations
        if self._node is not None:
            request.node.CopyFrom(self._node)
            self._node = None
        await self._call.write(request.SerializeToString())
