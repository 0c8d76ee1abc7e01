"""Settlements that the store could not be told: tried again until it can, for as long as their holds last.

A settlement may be told twice, since the store forgets a hold with the first; so nothing is charged twice. One that is
given up leaves the hold to its lease, which makes a charge of it.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from ratelimit_service.claims import Claim
from ratelimit_service.scripts import StoreUnavailable
from ratelimit_service.watch import CallCounters
from service_kit.clock import Clock
from service_kit.log import Logger

# About 1 KB each.
MOST: Final = 20_000
# Seconds between two rounds, and failures that end one.
PAUSE: Final = 0.5
PATIENCE: Final = 20


@dataclass(frozen=True)
class Late:
    """A settlement that waits, and the monotonic second after which nobody needs it."""

    hold: str
    claims: tuple[Claim, ...]
    until: float


class LateSettlements:
    """A bounded queue, worked off by a task of its own while there is something in it."""

    def __init__(self, counters: CallCounters, *, registry: CollectorRegistry, clock: Clock, log: Logger) -> None:
        self._counters = counters
        self._clock = clock
        self._log = log
        self._waiting: deque[Late] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._lost = 0
        waiting = Gauge(
            "tollgate_ratelimit_settlements_waiting",
            "Settlements that the store is still to be told",
            registry=registry,
        )
        waiting.set_function(lambda: len(self._waiting))
        ended = Counter(
            "tollgate_ratelimit_settlements_late",
            "Settlements that waited for the store: told late, or given_up to the lease of their hold",
            ["end"],
            registry=registry,
        )
        self._told = ended.labels("told")
        self._given_up = ended.labels("given_up")

    def add(self, hold: str, claims: Sequence[Claim], *, seconds: float) -> None:
        """Tells the store when it can, for so long; the oldest is given up where too many wait."""
        if len(self._waiting) >= MOST:
            self._waiting.popleft()
            self._give_up()
        self._waiting.append(Late(hold, tuple(claims), self._clock.monotonic() + seconds))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Tries what waits once more."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
        await self._round()
        for _ in range(len(self._waiting)):
            self._give_up()
        self._tell_lost()

    async def _work(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(PAUSE)
                await self._round()
            self._tell_lost()
        finally:
            self._worker = None

    async def _round(self) -> None:
        """Tries each that waits, until a few failed; these go to the end, since of a cluster others may answer."""
        failures = 0
        for _ in range(len(self._waiting)):
            if failures == PATIENCE or not self._waiting:
                return
            late = self._waiting.popleft()
            if self._clock.monotonic() >= late.until:
                self._give_up()
            elif not await self._tell(late):
                self._waiting.append(late)
                failures += 1

    async def _tell(self, late: Late) -> bool:
        try:
            await self._counters.settle(late.hold, late.claims)
        except StoreUnavailable:
            return False
        except asyncio.CancelledError:
            self._waiting.appendleft(late)
            raise
        self._told.inc()
        return True

    def _give_up(self) -> None:
        self._given_up.inc()
        self._lost += 1

    def _tell_lost(self) -> None:
        if self._lost:
            self._log.error(
                "settlements given up: their holds become charges when their leases are over", count=self._lost
            )
            self._lost = 0
