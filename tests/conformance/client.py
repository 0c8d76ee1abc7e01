"""A client on raw streams that does only what a test tells it to, with one vocabulary for all four modes.

`ask` and `drop` change what it is interested in, `next` is what it hears, `ack` and `nack` judge it, `silent` says
that nothing else was sent, and `send` is a message as the test words it.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.service.discovery.v3 import discovery_pb2 as discovery_pb

from control_plane.server.types import ENVOYS, SERVICES
from control_plane.server.wire import GROUP_FIELD
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE
from service_kit.endpoint import Endpoint
from tests.conformance.modes import DELTA_ADS, Mode
from tests.conformance.response import Response, response_of

WITHIN: Final = 5.0
FENCE_TYPE: Final = "type.googleapis.com/test.Fence"
# A fence is answered on another stream: what the server was about to send has left before the last of so many answers.
FENCES: Final = 3
AGGREGATED: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"
SINGLE: Final = {
    SECRET_TYPE: ("envoy.service.secret.v3.SecretDiscoveryService", "Secrets"),
    CLUSTER_TYPE: ("envoy.service.cluster.v3.ClusterDiscoveryService", "Clusters"),
    ENDPOINTS_TYPE: ("envoy.service.endpoint.v3.EndpointDiscoveryService", "Endpoints"),
    LISTENER_TYPE: ("envoy.service.listener.v3.ListenerDiscoveryService", "Listeners"),
    ROUTES_TYPE: ("envoy.service.route.v3.RouteDiscoveryService", "Routes"),
}


class StreamEnded(AssertionError):  # noqa: N818 - what happened, which fails a test that did not expect it
    """The server ended the stream that a response was awaited on."""


class Client:
    """One node in one mode. Each stream states the node once, in its first message."""

    def __init__(self, channel: grpc.aio.Channel, mode: Mode, node: base_pb.Node) -> None:
        self.mode = mode
        self.node = node
        self._channel = channel
        self._calls: dict[str, Any] = {}  # Any: grpc.aio's calls are generic over messages without annotations
        self._readers: list[asyncio.Task[None]] = []
        self._heard: asyncio.Queue[Response | StreamEnded] = asyncio.Queue()
        self._names: dict[str, tuple[str, ...]] = defaultdict(tuple)
        self._versions: dict[str, str] = defaultdict(str)
        self._nonces: dict[str, str] = defaultdict(str)
        self._held: dict[str, dict[str, str]] = defaultdict(dict)
        self._fence: Client | None = None
        self._fences = 0

    async def ask(self, type_url: str, *names: str) -> None:
        """Is interested in these names too; without any, asks as a client does that wants all, or asks again."""
        self._names[type_url] = tuple(dict.fromkeys((*self._names[type_url], *names)))
        if self.mode.delta:
            await self.send(type_url, resource_names_subscribe=names)
        else:
            await self._send_names(type_url)

    async def drop(self, type_url: str, *names: str) -> None:
        """Is interested in these names no more."""
        self._names[type_url] = tuple(name for name in self._names[type_url] if name not in names)
        if self.mode.delta:
            await self.send(type_url, resource_names_unsubscribe=names)
        else:
            await self._send_names(type_url)

    async def want(self, type_url: str, *names: str, **fields: Any) -> None:
        """Is interested in these names and no others; state of the world only."""
        self._names[type_url] = names
        await self._send_names(type_url, **fields)

    async def resume(self, type_url: str, before: "Client") -> None:
        """Asks as a client does that was connected before, with what it has."""
        self._names[type_url] = before._names[type_url]
        self._versions[type_url] = before._versions[type_url]
        self._held[type_url] = dict(before._held[type_url])
        if self.mode.delta:
            held = self._held[type_url]
            await self.send(type_url, resource_names_subscribe=self._names[type_url], initial_resource_versions=held)
        else:
            await self._send_names(type_url)

    async def next(self, type_url: str | None = None) -> Response:
        """The next response on any of its streams, of this type where one is given."""
        async with asyncio.timeout(WITHIN):
            heard = await self._heard.get()
        if isinstance(heard, StreamEnded):
            raise heard
        assert type_url in (None, heard.type_url), f"expected {type_url}, heard {heard}"
        self._nonces[heard.type_url] = heard.nonce
        return heard

    async def take(self, type_url: str | None = None) -> Response:
        """The next response, ACKed."""
        response = await self.next(type_url)
        await self.ack(response)
        return response

    async def rest(self) -> list[Response]:
        """What else it hears, ACKed, until there is silence."""
        found: list[Response] = []
        heard = -1
        while heard < len(found):
            heard = len(found)
            await self._pass_fences()
            while not self._heard.empty():
                found.append(await self.take())
        return found

    async def ack(self, response: Response) -> None:
        held = self._held[response.type_url]
        held.update(response.versions)
        for name in response.removed:
            held.pop(name, None)
        self._versions[response.type_url] = response.version
        await self._judge(response)

    async def nack(self, response: Response, reason: str = "refused by the test") -> None:
        await self._judge(response, error_detail={"code": 3, "message": reason})

    async def silent(self) -> None:
        """Nothing was sent: others get answers, and it hears nothing."""
        await self._pass_fences()
        assert self._heard.empty(), f"heard {self._heard.get_nowait()}"

    async def send(self, type_url: str, *, on: str | None = None, **fields: Any) -> None:
        """This very message, on the stream of `on` where that is not the type's own."""
        request = discovery_pb.DeltaDiscoveryRequest if self.mode.delta else discovery_pb.DiscoveryRequest
        key = (on or type_url) if self.mode.separate else ""
        is_first = key not in self._calls
        call = self._calls[key] if not is_first else self._open(key)
        node = self.node if is_first else None
        try:
            await call.write(request(**{"node": node, "type_url": type_url, **fields}))
        except grpc.RpcError as error:
            raise StreamEnded(str(error)) from error

    async def half_close(self) -> None:
        """Says that it has no more to say, on every stream."""
        for call in self._calls.values():
            await call.done_writing()

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """How the server ended the first of its streams."""
        call = next(iter(self._calls.values()))
        async with asyncio.timeout(WITHIN):
            return await call.code(), await call.details()

    async def close(self) -> None:
        """Cancels every stream."""
        for call in self._calls.values():
            call.cancel()
        await asyncio.gather(*self._readers)
        if self._fence is not None:
            await self._fence.close()

    async def _send_names(self, type_url: str, **fields: Any) -> None:
        known = {"version_info": self._versions[type_url], "response_nonce": self._nonces[type_url]}
        await self.send(type_url, resource_names=self._names[type_url], **{**known, **fields})

    async def _judge(self, response: Response, **error: Any) -> None:
        fields: dict[str, Any] = {"response_nonce": response.nonce, **error}
        if not self.mode.delta:
            fields |= {"resource_names": self._names[response.type_url]}
            fields |= {"version_info": self._versions[response.type_url]}
        await self.send(response.type_url, **fields)

    async def _pass_fences(self) -> None:
        if self._fence is None:
            self._fence = Client(self._channel, DELTA_ADS, base_pb.Node(id="fence", cluster=SERVICES.cluster))
        for _ in range(FENCES):
            self._fences += 1
            await self._fence.ask(FENCE_TYPE, f"fence-{self._fences}")
            assert (await self._fence.take(FENCE_TYPE)).names == [f"-fence-{self._fences}"]

    def _open(self, key: str) -> Any:
        service, resources = SINGLE[key] if self.mode.separate else (AGGREGATED, "AggregatedResources")
        method = ("Delta" if self.mode.delta else "Stream") + resources
        message = discovery_pb.DeltaDiscoveryResponse if self.mode.delta else discovery_pb.DiscoveryResponse
        call = self._channel.stream_stream(
            f"/{service}/{method}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=message.FromString,
        )()
        self._calls[key] = call
        self._readers.append(asyncio.create_task(self._read(call)))
        return call

    async def _read(self, call: Any) -> None:
        try:
            while (message := await call.read()) is not grpc.aio.EOF:
                self._heard.put_nowait(response_of(message))
            reason = "the server has no more to say"
        except (grpc.RpcError, asyncio.CancelledError) as error:
            reason = str(error)
        self._heard.put_nowait(StreamEnded(reason))


@asynccontextmanager
async def connected(
    at: Endpoint,
    mode: Mode,
    *,
    node: str = "envoy",
    cluster: str = ENVOYS.cluster,
    group: str = "",
    features: tuple[str, ...] = (),
    credentials: Any = None,
    options: Mapping[str, int] | None = None,
) -> AsyncIterator[Client]:
    """A client of the server at this address; its streams open when it first says something on them."""
    arguments = tuple({"grpc.max_receive_message_length": -1, **(options or {})}.items())
    if credentials is None:
        opened = grpc.aio.insecure_channel(at.grpc_target, arguments)
    else:
        opened = grpc.aio.secure_channel(at.grpc_target, credentials, arguments)
    async with opened as channel:
        stated = base_pb.Node(id=node, cluster=cluster, client_features=features)
        if group:
            stated.metadata[GROUP_FIELD] = group
        client = Client(channel, mode, stated)
        try:
            yield client
        finally:
            await client.close()
