"""An xDS client that does only what a test tells it to: one stream, delta or state-of-the-world, over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.service.discovery.v3 import discovery_pb2 as discovery_pb

from control_plane.server.services import ADS, DiscoveryService
from control_plane.server.types import ENVOYS
from service_kit.endpoint import Endpoint

PROBE_TYPE = "type.googleapis.com/test.Probe"


class FakeEnvoy:
    """`subscribe`, then `next`, then `ack` or `nack`. The node travels with the first request only."""

    def __init__(
        self, call: Any, *, delta: bool, node: str, cluster: str, group: str = "", hosts: bool = False
    ) -> None:
        self._call = call
        self._delta = delta
        self._node = base_pb.Node(id=node, cluster=cluster) if node or cluster else None
        if self._node is not None and group:
            self._node.metadata.update({"tollgate_group": group})
        if self._node is not None and hosts:
            self._node.metadata.update({"tollgate_virtual_hosts": True})
        self._names: dict[str, tuple[str, ...]] = {}
        self._nonces: dict[str, str] = {}
        self._probes = 0

    def claim(self, *, node: str = "fake", cluster: str) -> None:
        """The next request states a node again, and another one."""
        self._node = base_pb.Node(id=node, cluster=cluster)

    async def subscribe(self, type_url: str, *names: str, initial: dict[str, str] | None = None) -> None:
        self._names[type_url] = names
        if self._delta:
            await self._send(type_url, resource_names_subscribe=names, initial_resource_versions=initial or {})
        else:
            await self._send(type_url, resource_names=names)

    async def ask_again(self, type_url: str) -> None:
        """The names it has asked for before, and the last nonce. State of the world only."""
        await self._send(type_url, resource_names=self._names[type_url], response_nonce=self._nonces[type_url])

    async def half_close(self) -> None:
        """Nothing more is asked."""
        await self._call.done_writing()

    async def next(self, *, within: float = 5.0) -> Any:
        """The next response."""
        response = await asyncio.wait_for(self._call.read(), within)
        assert response is not grpc.aio.EOF, "the stream has ended"
        self._nonces[response.type_url] = response.nonce
        return response

    async def ack(self, response: Any) -> None:
        await self._judge(response)

    async def nack(self, response: Any, message: str) -> None:
        await self._judge(response, error_detail={"code": 3, "message": message})

    async def take(self, *, within: float = 5.0) -> Any:
        """The next response, ACKed."""
        response = await self.next(within=within)
        await self.ack(response)
        return response

    async def quiet(self) -> None:
        """Nothing has been sent: the answer to a probe comes before anything else. Delta only."""
        self._probes += 1
        await self._send(PROBE_TYPE, resource_names_subscribe=[f"probe-{self._probes}"])
        response = await self.take()
        assert response.type_url == PROBE_TYPE, f"unexpected {response.type_url}: {names(response)}"

    async def status(self) -> tuple[grpc.StatusCode, str]:
        """How the server ended the stream."""
        async with asyncio.timeout(10):
            return await self._call.code(), await self._call.details()

    async def _judge(self, response: Any, **error: Any) -> None:
        fields = {} if self._delta else {"resource_names": self._names.get(response.type_url, ())}
        await self._send(response.type_url, response_nonce=response.nonce, **fields, **error)

    async def _send(self, type_url: str, **fields: Any) -> None:
        message = discovery_pb.DeltaDiscoveryRequest if self._delta else discovery_pb.DiscoveryRequest
        await self._call.write(message(node=self._node, type_url=type_url, **fields))
        self._node = None


def names(response: Any) -> list[str]:
    """The resources of a delta response by name, removed ones with a minus."""
    return [item.name for item in response.resources] + [f"-{name}" for name in response.removed_resources]


@asynccontextmanager
async def fake_envoy(
    at: Endpoint,
    *,
    node: str = "fake",
    cluster: str = ENVOYS.cluster,
    group: str = "",
    hosts: bool = False,
    delta: bool = True,
    credentials: Any = None,
    service: DiscoveryService = ADS,
) -> AsyncIterator[FakeEnvoy]:
    """An open stream to the server at this address."""
    target = at.grpc_target
    options = [("grpc.max_receive_message_length", -1)]
    if credentials is None:
        opened = grpc.aio.insecure_channel(target, options)
    else:
        opened = grpc.aio.secure_channel(target, credentials, options)
    async with opened as channel:
        method = f"{'Delta' if delta else 'Stream'}{service.resources}"
        response = discovery_pb.DeltaDiscoveryResponse if delta else discovery_pb.DiscoveryResponse
        call: Any = channel.stream_stream(
            f"/{service.name}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )()
        try:
            yield FakeEnvoy(call, delta=delta, node=node, cluster=cluster, group=group, hosts=hosts)
        finally:
            call.cancel()
