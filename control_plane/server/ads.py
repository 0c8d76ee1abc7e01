"""The xDS server: one request path for every service and both protocols, over the pure state of `Stream`.

It holds the current snapshot of each group of consumers and moves bytes; what to send is decided in `stream` and
`subscription`. A stream that fails, blocks or is refused concerns no other.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from weakref import WeakValueDictionary

import grpc
from google.protobuf.message import DecodeError
from prometheus_client import CollectorRegistry

from control_plane.evolving import Evolving
from control_plane.server.admission import Refused, admitted
from control_plane.server.bounds import check_request, check_stream
from control_plane.server.clients import Client
from control_plane.server.exchange import Nack, Push
from control_plane.server.metrics import XdsMetrics
from control_plane.server.services import SERVICES as DISCOVERY_SERVICES
from control_plane.server.services import DiscoveryService
from control_plane.server.session import Convoy, Session
from control_plane.server.status import NodeStatus, NodeVerdict
from control_plane.server.types import GROUPS, ConsumerGroup, short_name
from control_plane.server.wire import Node, Protocol, Received, ResponseBytes
from control_plane.snapshot import EMPTY, Snapshot
from service_kit.clock import Clock
from service_kit.log import Logger
from service_kit.peers import peer_of
from service_kit.race import first_ended
from service_kit.serve import LARGEST_MESSAGE

Context = grpc.aio.ServicerContext[bytes, bytes]


class Ads:
    """The snapshots that are served, and the streams they are served to.

    A group whose first snapshot has not come yet is sent nothing at all: an empty answer would tell an Envoy that
    outlived the control plane to delete what it runs.
    """

    def __init__(
        self, *, clock: Clock, log: Logger, registry: CollectorRegistry, groups: tuple[ConsumerGroup, ...] = GROUPS
    ) -> None:
        self._clock = clock
        self._log = log
        self._metrics = XdsMetrics(registry)
        self._groups = {group.cluster: group for group in groups}
        self._snapshots: dict[str, Snapshot] = {}
        self._beside: dict[str, Snapshot] = {}
        self._served: dict[str, Snapshot] = {}  # both together, of groups that were given a snapshot
        self._sessions: set[Session] = set()
        # Of the nodes with a stream for each type; one that has no stream left is forgotten.
        self._convoys: WeakValueDictionary[tuple[str, ...], Convoy] = WeakValueDictionary()
        self._bytes = ResponseBytes()
        self._moved = asyncio.Event()
        self._closing = asyncio.Event()

    def set_snapshot(self, cluster: str, snapshot: Snapshot) -> None:
        """Serves this snapshot to a group from now on; a push that is under way is followed by what differs."""
        self._snapshots[cluster] = snapshot.sharing(self._snapshots.get(cluster, EMPTY))
        self._offer(cluster)

    def set_beside(self, cluster: str, beside: Snapshot) -> None:
        """Serves these types (BESIDE_TYPES) to a group at once, whatever else it is served and what becomes of that."""
        self._beside[cluster] = beside
        self._offer(cluster)

    def running(self, cluster: str, beside: Snapshot) -> dict[str, bool]:
        """The connected nodes of the group that ask for types of this, and whether they run it, or what came of it.

        Its resources are in Evolving mappings; of others it is not known what came of them.
        """
        found: dict[str, bool] = {}
        for session in self._of(cluster):
            for type_url, named in beside.resources.items():
                if session.asks_for(type_url):
                    runs = isinstance(named, Evolving) and session.runs(type_url, named)
                    found[session.node.id] = found.get(session.node.id, True) and runs
        return found

    def withhold(self, cluster: str) -> None:
        """Sends the group nothing until its next snapshot: it keeps what it has, and who comes new gets nothing."""
        self._snapshots.pop(cluster, None)
        self._served.pop(cluster, None)
        self._report_movement()

    def movement(self) -> asyncio.Event:
        """Set at the next movement: a consumer came, left, or judged something."""
        return self._moved

    async def asked(self, cluster: str, types: AbstractSet[str]) -> None:
        """Returns when each of these types is asked for by a connected consumer of the group."""
        while not types <= {type_url for session in self._of(cluster) for type_url in session.stream.subscriptions}:
            await self._moved.wait()

    async def settled(self, cluster: str) -> None:
        """Returns when every connected consumer of the group has ACKed or NACKed all it asked for."""
        while not all(self._settled(session) for session in self._of(cluster)):
            for session in tuple(self._of(cluster)):  # one after the other: a verdict costs a look at one of them
                while session in self._sessions and not self._settled(session):
                    await self._moved.wait()

    def converged(self, cluster: str) -> bool:
        """Whether every connected consumer of the group runs the current snapshot; what is beside it is shown alone."""
        return all(session.status(self._seen_by(session)).runs_configuration for session in self._of(cluster))

    def statuses(self) -> tuple[NodeStatus, ...]:
        """The connected consumers, by cluster and node."""
        found = (session.status(self._seen_by(session)) for session in self._sessions)
        return tuple(sorted(found, key=lambda status: (status.cluster, status.node, status.connected_at)))

    def clients(self) -> tuple[Client, ...]:
        """The connected consumers, for those who ask about single resources."""
        found = sorted(self._sessions, key=lambda session: (session.node.cluster, session.node.id))
        return tuple(map(self._client, found))

    def _client(self, session: Session) -> Client:
        snapshot = self._seen_by(session)
        return Client(session.node, session.status(snapshot), lambda: session.resources(snapshot))

    def verdicts(self, cluster: str) -> tuple[NodeVerdict, ...]:
        """What each connected node of the group says of the current snapshot; one that is connected twice has two."""
        return tuple(
            NodeVerdict(
                cluster=cluster,
                node=convoy.sessions[0].node.id,
                group=convoy.sessions[0].node.group,
                settled=all(map(self._settled, convoy.sessions)),
                refusals=tuple(refusal for session in convoy.sessions for refusal in session.refusals()),
            )
            for convoy in dict.fromkeys(session.convoy for session in self._of(cluster))
        )

    def rpcs(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """The gRPC services, on bytes: messages are read and written in `wire`."""
        return tuple(self._rpc(service) for service in DISCOVERY_SERVICES)

    def _rpc(self, service: DiscoveryService) -> grpc.GenericRpcHandler:
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            method: grpc.stream_stream_rpc_method_handler(self._handler(protocol, service))
            for method, protocol in service.methods.items()
        }
        return grpc.method_handlers_generic_handler(service.name, handlers)

    def close_streams(self) -> None:
        """Ends every stream, now and later, with a status that tells the client to try again."""
        self._closing.set()

    def _handler(self, protocol: Protocol, service: DiscoveryService) -> Callable[[object, Context], Awaitable[None]]:
        async def handle(_requests: object, context: Context) -> None:
            try:
                await first_ended(self._serve(protocol, service, context), self._refuse_when_closing())
            except Refused as refused:
                if refused.code is grpc.StatusCode.PERMISSION_DENIED:
                    self._log.warning("a peer is not let in", peer=context.peer(), reason=refused.message)
                await context.abort(refused.code, refused.message)
            except Exception:  # noqa: BLE001 - the edge of a stream: a fault of ours costs this one alone [11]
                if not context.done():  # else the client has gone, and what was being written failed [9]
                    self._metrics.faults.inc()
                    self._log.exception("a fault ends an xds stream", peer=context.peer())
                    await context.abort(grpc.StatusCode.INTERNAL, "a fault of the control plane")

        return handle

    async def _refuse_when_closing(self) -> None:
        await self._closing.wait()
        raise Refused(grpc.StatusCode.UNAVAILABLE, "the control plane is stopping")

    async def _serve(self, protocol: Protocol, service: DiscoveryService, context: Context) -> None:
        received = await _next_request(protocol, service, context)
        if received is None:
            return
        group = admitted(received.node, self._groups, peer_of(context))
        await context.send_initial_metadata(())  # a client that resumes with nothing new hears that it was let in
        nonce_prefix = secrets.token_hex(4)  # a nonce of an earlier stream must mean nothing on this one
        nonces = (f"{nonce_prefix}-{number}" for number in itertools.count(1))
        convoy = self._convoy(received.node, service, context.peer())
        session = Session(received.node, group, protocol, nonces, self._clock, convoy)
        with self._connected(session):
            self._take(session, received)
            await first_ended(self._read(session, service, context), self._write(session, context))

    def _convoy(self, node: Node, service: DiscoveryService, peer: str) -> Convoy:
        if not service.type_url:
            return Convoy()
        host = peer.rpartition(":")[0]  # without the port: a node may connect once for each of its streams
        return self._convoys.setdefault((node.cluster, node.id, node.group, host), Convoy(separate=True))

    @contextmanager
    def _connected(self, session: Session) -> Iterator[None]:
        log = self._log.bind(node=session.node.id, cluster=session.node.cluster, protocol=session.protocol.name)
        self._sessions.add(session)
        self._metrics.streams.labels(session.node.cluster).inc()
        log.info("xds stream opened")
        try:
            yield
        finally:
            self._sessions.remove(session)
            session.close()
            self._metrics.streams.labels(session.node.cluster).dec()
            self._report_movement()
            log.info("xds stream closed")

    async def _read(self, session: Session, service: DiscoveryService, context: Context) -> None:
        while (received := await _next_request(session.protocol, service, context)) is not None:
            self._take(session, received)

    def _take(self, session: Session, received: Received) -> None:
        verdict = session.receive(received.request)
        check_stream(session.stream, received)
        if verdict is not None:
            self._metrics.judged(verdict)
        if isinstance(verdict, Nack):
            self._log.warning(
                "configuration refused",
                node=session.node.id,
                type=short_name(verdict.push.type_url),
                version=verdict.push.version,
                nonce=verdict.push.nonce,
                reason=verdict.message,
            )
        self._report_movement()

    async def _write(self, session: Session, context: Context) -> None:
        while True:
            session.wake.clear()
            while (push := self._next_push(session)) is not None:
                self._metrics.pushed(push)
                await context.write(self._response(session, push))
            await session.woken()

    def _response(self, session: Session, push: Push) -> bytes:
        """The push as bytes; Refused, and told, where gRPC would not send so many."""
        data = self._bytes.response(session.protocol, push)
        if len(data) > LARGEST_MESSAGE:
            what = f"{short_name(push.type_url)} resources of {len(data)} bytes are more than the {LARGEST_MESSAGE}"
            self._log.error("a push is too large to be sent", node=session.node.id, reason=f"{what} of one message")
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{what} of one message")
        return data

    def _next_push(self, session: Session) -> Push | None:
        if session.node.cluster not in self._served:
            return None
        return session.next_push(self._seen_by(session))

    def _settled(self, session: Session) -> bool:
        return session.settled(self._seen_by(session))

    def _seen_by(self, session: Session) -> Snapshot:
        return session.seen(self._snapshot(session.node.cluster))

    def _snapshot(self, cluster: str) -> Snapshot:
        return self._served.get(cluster, EMPTY)

    def _offer(self, cluster: str) -> None:
        if cluster in self._snapshots:
            published, beside = self._snapshots[cluster], self._beside.get(cluster, EMPTY)
            self._served[cluster] = Snapshot(MappingProxyType({**published.resources, **beside.resources}))
        for session in self._of(cluster):
            session.wake.set()
        self._report_movement()

    def _of(self, cluster: str) -> Iterator[Session]:
        return (session for session in self._sessions if session.node.cluster == cluster)

    def _report_movement(self) -> None:
        """Wakes those who wait in `settled`; the next wait is for the next movement."""
        self._moved.set()
        self._moved = asyncio.Event()


async def _next_request(protocol: Protocol, service: DiscoveryService, context: Context) -> Received | None:
    """The next request, None at the end of the stream."""
    data: object = await context.read()
    if not isinstance(data, bytes):  # grpc.aio.EOF
        return None
    try:
        received = protocol.read(data)
    except DecodeError as error:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "not a discovery request") from error
    check_request(received)
    type_url = received.request.type_url or service.type_url
    if not type_url:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "a request on an ADS stream must state its type_url")
    if type_url != (service.type_url or type_url):
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"{service.name} knows {service.type_url}, not {type_url}")
    return replace(received, request=replace(received.request, type_url=type_url))
