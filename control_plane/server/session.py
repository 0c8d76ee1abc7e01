"""One connected consumer: its stream's state, when it has something to write, and what is shown of it."""

import asyncio
from collections.abc import Iterator

from control_plane.evolving import Evolving
from control_plane.server.exchange import DeltaRequest, Nack, Push, Verdict
from control_plane.server.status import NodeStatus, Refusal, ResourceState, TypeStatus
from control_plane.server.stream import Abreast, Stream, Subscriptions, TypeRequest
from control_plane.server.types import BESIDE_TYPES, ConsumerGroup
from control_plane.server.wire import DELTA, Node, Protocol
from control_plane.snapshot import Resource, Snapshot
from control_plane.virtual_hosts import runs_whole, with_virtual_hosts
from control_plane.xds.names import ROUTES_TYPE
from service_kit.clock import Clock


class Convoy:
    """The sessions that keep one order: a stream of ADS alone, or all the streams of a node that has one for each type.

    Nodes that state the same id from the same host are taken for one; they delay each other by PATIENCE at most.
    """

    def __init__(self, *, separate: bool = False) -> None:
        self.separate = separate
        self.subscriptions = Abreast()
        self.sessions: list[Session] = []

    def moved(self, session: "Session", type_url: str) -> None:
        """A push or a verdict of this session may let others go on."""
        for other in self.sessions:
            if other is not session and other.stream.concerned_by(type_url):
                other.wake.set()

    def leave(self, session: "Session") -> None:
        self.sessions.remove(session)
        for other in self.sessions:
            other.wake.set()


class Session:
    """A node on one stream; `wake` is set when there may be something to push."""

    def __init__(
        self,
        node: Node,
        group: ConsumerGroup,
        protocol: Protocol,
        nonces: Iterator[str],
        clock: Clock,
        convoy: "Convoy",
    ) -> None:
        self.node = node
        self.protocol = protocol
        self.convoy = convoy
        self.stream = Stream(
            group.push_order, nonces, lifetimes=protocol.reads_lifetimes(node), abreast=convoy.subscriptions
        )
        # Only on the stream of all types of a node that speaks delta are virtual hosts asked for.
        self._takes_hosts = node.takes_hosts and protocol is DELTA and not convoy.separate
        self.wake = asyncio.Event()
        self._clock = clock
        self._connected_at = clock.now()
        self._judged_at: dict[str, float] = {}
        convoy.sessions.append(self)

    def receive(self, request: TypeRequest) -> Verdict | None:
        if request.type_url == ROUTES_TYPE and isinstance(request.request, DeltaRequest):
            self._takes_hosts = self._takes_hosts and not runs_whole(request.request.initial_versions)
        verdict = self.stream.receive(request, self._clock.monotonic())
        if verdict is not None:
            self._judged_at[request.type_url] = self._clock.now()
        self.wake.set()
        self.convoy.moved(self, request.type_url)
        return verdict

    def seen(self, snapshot: Snapshot) -> Snapshot:
        """What its node is told of a snapshot."""
        visible = snapshot.visible_to(self.node.group)
        return with_virtual_hosts(visible) if self._takes_hosts else visible

    def next_push(self, snapshot: Snapshot) -> Push | None:
        push = self.stream.next_push(snapshot, self._clock.monotonic())
        if push is not None:
            self.convoy.moved(self, push.type_url)
        return push

    def close(self) -> None:
        self.stream.close()
        self.convoy.leave(self)

    async def woken(self) -> None:
        """Returns when something was received, the snapshot changed, or a verdict is overdue."""
        now = self._clock.monotonic()
        at = self.stream.look_again_at(now)
        try:
            async with asyncio.timeout(None if at is None else at - now):
                await self.wake.wait()
        except TimeoutError:
            return

    def settled(self, snapshot: Snapshot) -> bool:
        return self.stream.settled(snapshot)

    def refusals(self) -> tuple[Refusal, ...]:
        """What the last word on a type was a NACK of, but for types that are beside the configuration."""
        return tuple(
            _refusal(subscription.nack, self._judged_at[type_url])
            for type_url, subscription in self.stream.subscriptions.items()
            if subscription.nack is not None and type_url not in BESIDE_TYPES
        )

    def asks_for(self, type_url: str) -> bool:
        return type_url in self.stream.subscriptions

    def runs(self, type_url: str, named: Evolving[Resource]) -> bool:
        """Whether its node has this type as it is here, or as it came to be later."""
        return self.stream.subscriptions[type_url].runs(named)

    def status(self, snapshot: Snapshot) -> NodeStatus:
        return NodeStatus(
            node=self.node.id,
            cluster=self.node.cluster,
            protocol=self.protocol.name,
            connected_at=self._connected_at,
            types={
                type_url: self._type_status(type_url, subscription, snapshot)
                for type_url, subscription in self.stream.subscriptions.items()
            },
            group=self.node.group,
            user_agent=self.node.user_agent,
        )

    def resources(self, snapshot: Snapshot) -> Iterator[tuple[Resource, ResourceState]]:
        """Every resource of the snapshot that the node wants, and how it stands to it."""
        for type_url, subscription in self.stream.subscriptions.items():
            for _, item in sorted(snapshot.of(type_url).items()):
                if (state := subscription.state(item)) is not None:
                    yield item, state

    def _type_status(self, type_url: str, subscription: Subscriptions, snapshot: Snapshot) -> TypeStatus:
        since = self._judged_at.get(type_url, self._connected_at)
        settled = subscription.in_flight is None and not subscription.pending(snapshot)
        # one that came back with all of it was sent nothing
        resumed = settled and subscription.nack is None and not subscription.acked_version
        return TypeStatus(
            sent=subscription.sent_version,
            acked=snapshot.version(type_url) if resumed else subscription.acked_version,
            refusal=None if subscription.nack is None else _refusal(subscription.nack, since),
            settled=settled,
            since=since,
        )


def _refusal(nack: Nack, at: float) -> Refusal:
    return Refusal(
        type_url=nack.push.type_url,
        version=nack.push.version,
        nonce=nack.push.nonce,
        message=nack.message,
        at=at,
        names=nack.names,
    )
