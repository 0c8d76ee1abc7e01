"""One connected consumer: its stream's state, when it has something to write, and what is shown of it."""

import asyncio
from collections.abc import Iterator

from control_plane.server.status import NodeStatus, Refusal, TypeStatus
from control_plane.server.stream import Stream, Subscriptions, TypeRequest
from control_plane.server.subscription import Nack, Push, Verdict
from control_plane.server.types import ConsumerGroup
from control_plane.server.wire import Node, Protocol
from control_plane.snapshot import Snapshot
from service_kit.clock import Clock


class Session:
    """A node on one stream; `wake` is set when there may be something to push."""

    def __init__(
        self, node: Node, group: ConsumerGroup, protocol: Protocol, nonces: Iterator[str], clock: Clock
    ) -> None:
        self.node = node
        self.protocol = protocol
        self.stream = Stream(group.push_order, nonces)
        self.wake = asyncio.Event()
        self._clock = clock
        self._connected_at = clock.now()
        self._judged_at: dict[str, float] = {}

    def receive(self, request: TypeRequest) -> Verdict | None:
        verdict = self.stream.receive(request, self._clock.monotonic())
        if verdict is not None:
            self._judged_at[request.type_url] = self._clock.now()
        self.wake.set()
        return verdict

    def next_push(self, snapshot: Snapshot) -> Push | None:
        return self.stream.next_push(snapshot, self._clock.monotonic())

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
        )

    def _type_status(self, type_url: str, subscription: Subscriptions, snapshot: Snapshot) -> TypeStatus:
        since = self._judged_at.get(type_url, self._connected_at)
        return TypeStatus(
            sent=subscription.sent_version,
            acked=subscription.acked_version,
            refusal=None if subscription.nack is None else _refusal(subscription.nack, since),
            settled=subscription.in_flight is None and not subscription.pending(snapshot),
            since=since,
        )


def _refusal(nack: Nack, at: float) -> Refusal:
    return Refusal(version=nack.push.version, nonce=nack.push.nonce, message=nack.message, at=at)
