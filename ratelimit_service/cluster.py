"""A Redis Cluster: each step goes to the server that has its slot.

The map of slots is asked for when there is none, when a server says that a slot has moved, and when one fails, since
another may have taken its place. A step is sent again only where a server refused it unread.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisError

from ratelimit_service.addresses import HostPort
from ratelimit_service.failures import FailureKind, Unanswered
from ratelimit_service.node import Node, Redirected
from ratelimit_service.scripts import Reply, Step
from ratelimit_service.store_watch import StoreWatch
from service_kit.clock import Clock

# How often a step follows to another server before something is wrong with the cluster.
MOST_REDIRECTIONS: Final = 4
# Seconds between two looks at the map of slots while servers fail.
MAP_EVERY: Final = 0.5

# First and last slot, and the server that has them.
Ranges = Sequence[tuple[int, int, HostPort]]


@dataclass(frozen=True)
class SlotMap:
    """Who has which slots, as a server knew it in an epoch of the cluster."""

    epoch: int
    ranges: Ranges


NO_MAP: Final = SlotMap(-1, ())


class Cluster:
    """Scripts on the servers of a cluster, each behind a Node of its own."""

    clustered: Final = True

    def __init__(
        self,
        seeds: Sequence[HostPort],
        *,
        client: Callable[[HostPort], Redis],
        timeout: float,
        clock: Clock,
        watch: StoreWatch,
    ) -> None:
        self._seeds = tuple(seeds)
        self._client = client
        self._timeout = timeout
        self._clock = clock
        self._watch = watch
        self._nodes: dict[HostPort, Node] = {}
        self._slots: list[HostPort | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._mapping: asyncio.Task[None] | None = None
        self._next_map = 0.0
        self._leaving: set[asyncio.Task[None]] = set()

    async def call(self, step: Step) -> Reply:
        """The reply of the server that has the keys."""
        slot = key_slot(step.keys[0].encode())
        target, asking = await self._home(slot), False
        for _ in range(MOST_REDIRECTIONS):
            try:
                return await self._node(target).call(step, asking=asking)
            except Redirected as answer:
                target, asking = answer.target, answer.asking
                if not asking:
                    self._slots[slot] = target
                    self._map_in_time()
            except Unanswered as failure:
                if failure.kind is not FailureKind.ERROR:
                    self._map_in_time()
                raise
        raise self._unmapped("its servers send a step from one to the other")

    async def close(self) -> None:
        if self._mapping is not None:
            await self._mapping
        await asyncio.gather(*(node.close() for node in self._nodes.values()), *self._leaving)

    async def _home(self, slot: int) -> HostPort:
        """The server of a slot, after a look at the map where none is known."""
        if self._slots[slot] is None:
            self._map_in_time()
            if self._mapping is not None:
                await asyncio.shield(self._mapping)
        home = self._slots[slot]
        if home is None:
            self._watch.failed(FailureKind.CLUSTER)
            raise self._unmapped("no server tells who has the slot")
        return home

    def _unmapped(self, reason: str) -> Unanswered:
        return Unanswered(FailureKind.CLUSTER, f"the cluster at {', '.join(map(str, self._seeds))}: {reason}")

    def _node(self, host: HostPort) -> Node:
        node = self._nodes.get(host)
        if node is None:
            node = self._nodes[host] = Node(
                self._client(host), str(host), timeout=self._timeout, clock=self._clock, watch=self._watch
            )
        return node

    def _map_in_time(self) -> None:
        """Starts a look at the map, unless one is under way or has just been."""
        now = self._clock.monotonic()
        if self._mapping is None and now >= self._next_map:
            self._next_map = now + MAP_EVERY
            self._mapping = asyncio.create_task(self._map())

    async def _map(self) -> None:
        """The newest map that a server gives; all are asked at once, since some may be dead, frozen or cut off."""
        try:
            answers = await asyncio.gather(*(self._told(host) for host in {*self._nodes, *self._seeds}))
            newest = max(answers, key=lambda told: told.epoch)
            if newest.ranges:
                self._take_over(newest.ranges)
        finally:
            self._mapping = None

    async def _told(self, host: HostPort) -> SlotMap:
        client = self._client(host)
        try:
            async with asyncio.timeout(self._timeout / 2):
                pipeline = client.pipeline(transaction=False)
                pipeline.execute_command("CLUSTER SLOTS")
                pipeline.execute_command("CLUSTER INFO")
                slots, state = await pipeline.execute()
        except (RedisError, OSError, TimeoutError):
            return NO_MAP
        finally:
            await client.aclose()
        return SlotMap(int(state["cluster_current_epoch"]), slot_ranges(slots, host))

    def _take_over(self, ranges: Ranges) -> None:
        slots: list[HostPort | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, host in ranges:
            slots[first : last + 1] = [host] * (last + 1 - first)
        self._slots = slots
        masters = {host for _, _, host in ranges}
        for host in self._nodes.keys() - masters:
            self._watch.left(str(host))
            leaving = asyncio.create_task(self._nodes.pop(host).close())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)


def slot_ranges(answer: Sequence[Sequence[Any]], asked: HostPort) -> Ranges:
    """The ranges and their masters; a server that does not know its own name means the one that was asked."""
    return [(int(first), int(last), _master(master, asked)) for first, last, master, *_ in answer]


def _master(told: Sequence[Any], asked: HostPort) -> HostPort:
    host = told[0].decode() if isinstance(told[0], bytes) else told[0]
    return HostPort(host or asked.host, int(told[1]))
