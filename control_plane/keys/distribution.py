"""How stored identities reach the services: at once, past everything that a configuration waits for.

What is measured is the time from a change, as soon as it is known to be committed, to the last ACK of the services that
were connected then. One that comes later is told everything before it decides anything new.
"""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram

from control_plane.evolving import Evolving
from control_plane.keys.vouching import Vouching
from control_plane.server.ads import Ads
from control_plane.server.types import SERVICES
from control_plane.snapshot import EMPTY, Snapshot
from service_kit.clock import Clock
from service_kit.contract import API_KEY_TYPE, CONSUMER_TYPE, IDENTITY_TYPES

# Seconds that whoever changed something waits for the services.
LONGEST_WAIT: Final = 2.0
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Changes on their way that are measured: a service that refuses for ever would keep them all.
MOST_MEASURED: Final = 1_000
# What a change does to what clients may: takes something away, or nothing but adds and alters.
REMOVED, ADDED = "removed", "added"
KINDS: Final = {CONSUMER_TYPE: "consumers", API_KEY_TYPE: "keys"}


@dataclass(frozen=True)
class Told:
    """How many connected services run what is stored now, who does not say so yet, and how long was waited."""

    services: int
    waiting: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class _Change:
    """A change that is on its way to the services that were connected when it was made."""

    snapshot: Snapshot
    kind: str
    at: float
    nodes: frozenset[str]


class Distribution:
    """What is stored, as it is told to the services; and what follows of it for Envoys."""

    def __init__(self, ads: Ads, clock: Clock, registry: CollectorRegistry) -> None:
        self.vouching = Vouching(ads, clock)
        self._ads = ads
        self._clock = clock
        self.snapshot = EMPTY
        self._on_their_way: deque[_Change] = deque(maxlen=MOST_MEASURED)
        self._seconds = Histogram(
            "tollgate_identity_change_seconds",
            "From a change of stored keys and consumers to the last ACK of the connected services; `removed`: "
            "something was revoked, ended or deleted",
            ["change"],
            buckets=BUCKETS,
            registry=registry,
        )
        for kind in (REMOVED, ADDED):
            self._seconds.labels(kind)
        stored = Gauge("tollgate_identities", "Stored consumers and keys that work", ["kind"], registry=registry)
        for type_url, kind in KINDS.items():
            stored.labels(kind).set_function(partial(self._count, type_url))
        waiting = Gauge("tollgate_identity_services_waiting", "Services that lack a change", registry=registry)
        waiting.set_function(lambda: len(_waiting(self._running(self.snapshot))))

    def tell(self, snapshot: Snapshot) -> None:
        """Serves these types so from now on, and others as before.

        What it takes for keys and consumers to reach everybody is measured where there was something before.
        """
        before, snapshot = self.snapshot, Snapshot(MappingProxyType({**self.snapshot.resources, **snapshot.resources}))
        self.snapshot = snapshot
        if _has_changed(before, snapshot) and (nodes := frozenset(self._running(snapshot))):
            self._on_their_way.append(_Change(snapshot, _kind(before, snapshot), self._clock.monotonic(), nodes))
        self._ads.set_beside(SERVICES.cluster, snapshot)
        self.vouching.tell(before, snapshot)

    async def arrived(self) -> Told:
        """Waits for the connected services to run what is stored now, and Envoys what follows of it, for a while."""
        began, snapshot, vouched = self._clock.monotonic(), self.snapshot, self.vouching.told
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT):
                while _waiting({**self.vouching.running(vouched), **self._running(snapshot)}):
                    await self._ads.movement().wait()
        running, envoys = self._running(snapshot), self.vouching.running(vouched)
        waiting = _waiting(running) + _waiting(envoys)
        return Told(sum(running.values()), waiting, self._clock.monotonic() - began)

    async def run(self) -> None:
        """Measures, forever."""
        while True:
            movement = self._ads.movement()
            self._measure()
            await movement.wait()

    def _measure(self) -> None:
        """Services take changes in their order: while the first is on its way, so are the others."""
        while self._on_their_way:
            change = self._on_their_way[0]
            running = self._running(change.snapshot)
            asked = {node: runs for node, runs in running.items() if node in change.nodes}
            if not all(asked.values()):
                return
            self._on_their_way.popleft()
            if asked:  # else all who were to be told have left
                self._seconds.labels(change.kind).observe(self._clock.monotonic() - change.at)

    def _count(self, type_url: str) -> float:
        return len(self.snapshot.of(type_url))

    def _running(self, snapshot: Snapshot) -> dict[str, bool]:
        return self._ads.running(SERVICES.cluster, snapshot)


def _waiting(running: dict[str, bool]) -> tuple[str, ...]:
    return tuple(sorted(node for node, runs in running.items() if not runs))


def _has_changed(before: Snapshot, after: Snapshot) -> bool:
    """Whether stored identities that were told are told otherwise."""
    return any(
        type_url in before.resources and before.of(type_url) is not after.of(type_url) for type_url in IDENTITY_TYPES
    )


def _kind(before: Snapshot, after: Snapshot) -> str:
    return REMOVED if any(_lost(before, after, type_url) for type_url in IDENTITY_TYPES) else ADDED


def _lost(before: Snapshot, after: Snapshot, type_url: str) -> bool:
    old, new = before.of(type_url), after.of(type_url)
    names = new.since(old) if isinstance(new, Evolving) else None
    return any(name in old and name not in new for name in (old if names is None else names))
