"""The ADS server: one request path for both protocols, over the pure state of `Stream`.

It holds the current snapshot of each group of consumers and moves bytes; what to send is decided in `stream` and
`subscription`. A stream that fails, blocks or is refused concerns no other.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import grpc
from google.protobuf.message import DecodeError
from prometheus_client import CollectorRegistry

from control_plane.server.admission import Refused, admitted
from control_plane.server.metrics import XdsMetrics
from control_plane.server.session import Session
from control_plane.server.status import NodeStatus
from control_plane.server.subscription import Nack, Push
from control_plane.server.types import GROUPS, ConsumerGroup, short_name
from control_plane.server.wire import ADS_SERVICE, PROTOCOLS, Protocol, Received, ResponseBytes
from control_plane.snapshot import EMPTY, Snapshot
from service_kit.clock import Clock
from service_kit.log import Logger
from service_kit.race import first_ended

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
        self._sessions: set[Session] = set()
        self._bytes = ResponseBytes()
        self._moved = asyncio.Event()
        self._closing = asyncio.Event()

    def set_snapshot(self, cluster: str, snapshot: Snapshot) -> None:
        """Serves this snapshot to a group from now on; a push that is under way is followed by what differs."""
        self._snapshots[cluster] = snapshot
        self._bytes.clear()
        for session in self._of(cluster):
            session.wake.set()
        self._report_movement()

    async def settled(self, cluster: str) -> None:
        """Returns when every connected consumer of the group has ACKed or NACKed all it asked for."""
        while not all(session.settled(self._snapshot(cluster)) for session in self._of(cluster)):
            await self._moved.wait()

    def refused(self, cluster: str) -> bool:
        """Whether a connected consumer of the group keeps an older state because it NACKed this one."""
        return any(session.stream.refuses() for session in self._of(cluster))

    def refusals(self, cluster: str) -> tuple[str, ...]:
        """Why the group as a whole refuses: the reasons of every type that all of its consumers have NACKed."""
        by_type: dict[str, list[str | None]] = {}
        for session in self._of(cluster):
            for type_url, subscription in session.stream.subscriptions.items():
                nack = subscription.nack
                reason = None if nack is None else f"{session.node.id}: {nack.message}"
                by_type.setdefault(type_url, []).append(reason)
        return tuple(reason for told in by_type.values() if all(told) for reason in told if reason is not None)

    def converged(self, cluster: str) -> bool:
        """Whether every connected consumer of the group runs the current snapshot."""
        return all(session.status(self._snapshot(cluster)).converged for session in self._of(cluster))

    def statuses(self) -> tuple[NodeStatus, ...]:
        """The connected consumers, by cluster and node."""
        found = (session.status(self._snapshot(session.node.cluster)) for session in self._sessions)
        return tuple(sorted(found, key=lambda status: (status.cluster, status.node, status.connected_at)))

    def rpc(self) -> grpc.GenericRpcHandler:
        """The gRPC service, on bytes: messages are read and written in `wire`."""
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            protocol.method: grpc.stream_stream_rpc_method_handler(self._handler(protocol)) for protocol in PROTOCOLS
        }
        return grpc.method_handlers_generic_handler(ADS_SERVICE, handlers)

    def close_streams(self) -> None:
        """Ends every stream, now and later, with a status that tells the client to try again."""
        self._closing.set()

    def _handler(self, protocol: Protocol) -> Callable[[object, Context], Awaitable[None]]:
        async def handle(_requests: object, context: Context) -> None:
            try:
                await first_ended(self._serve(protocol, context), self._refuse_when_closing())
            except Refused as refused:
                await context.abort(refused.code, refused.message)

        return handle

    async def _refuse_when_closing(self) -> None:
        await self._closing.wait()
        raise Refused(grpc.StatusCode.UNAVAILABLE, "the control plane is stopping")

    async def _serve(self, protocol: Protocol, context: Context) -> None:
        received = await _next_request(protocol, context)
        if received is None:
            return
        group = admitted(received.node, self._groups)
        nonce_prefix = secrets.token_hex(4)  # a nonce of an earlier stream must mean nothing on this one
        nonces = (f"{nonce_prefix}-{number}" for number in itertools.count(1))
        session = Session(received.node, group, protocol, nonces, self._clock)
        with self._connected(session):
            self._take(session, received)
            await first_ended(self._read(session, context), self._write(session, context))

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
            self._metrics.streams.labels(session.node.cluster).dec()
            self._report_movement()
            log.info("xds stream closed")

    async def _read(self, session: Session, context: Context) -> None:
        while (received := await _next_request(session.protocol, context)) is not None:
            self._take(session, received)

    def _take(self, session: Session, received: Received) -> None:
        verdict = session.receive(received.request)
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
                await context.write(self._bytes.response(session.protocol, push))
            await session.woken()

    def _next_push(self, session: Session) -> Push | None:
        snapshot = self._snapshots.get(session.node.cluster)
        return None if snapshot is None else session.next_push(snapshot)

    def _snapshot(self, cluster: str) -> Snapshot:
        return self._snapshots.get(cluster, EMPTY)

    def _of(self, cluster: str) -> Iterator[Session]:
        return (session for session in self._sessions if session.node.cluster == cluster)

    def _report_movement(self) -> None:
        """Wakes those who wait in `settled`; the next wait is for the next movement."""
        self._moved.set()
        self._moved = asyncio.Event()


async def _next_request(protocol: Protocol, context: Context) -> Received | None:
    """The next request, None at the end of the stream."""
    data: object = await context.read()
    if not isinstance(data, bytes):  # grpc.aio.EOF
        return None
    try:
        received = protocol.read(data)
    except DecodeError as error:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "not a discovery request") from error
    if not received.request.type_url:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "a request on an ADS stream must state its type_url")
    return received
