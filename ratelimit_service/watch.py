"""Counters whose answers are timed: what a decision waits for, with all round trips that it takes."""

from collections.abc import Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Histogram

from ratelimit_service.claims import Claim, Hold, Settled, Taken
from service_kit.clock import Clock
from service_kit.metrics import LATENCY_BUCKETS


class CallCounters(Protocol):
    """Where calls are counted, and put right when they end. StoreUnavailable where that cannot be told."""

    async def take(self, claims: Sequence[Claim], hold: Hold | None = None) -> Taken: ...

    async def settle(self, hold: str, claims: Sequence[Claim]) -> Settled: ...


class WatchedCounters:
    """Passes everything on."""

    def __init__(self, counters: CallCounters, *, registry: CollectorRegistry, clock: Clock) -> None:
        self._counters = counters
        self._clock = clock
        seconds = Histogram(
            "tollgate_ratelimit_store_seconds",
            "Time until the store had answered, by what was asked",
            ["operation"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._take = seconds.labels("take")
        self._settle = seconds.labels("settle")

    async def take(self, claims: Sequence[Claim], hold: Hold | None = None) -> Taken:
        begun = self._clock.monotonic()
        taken = await self._counters.take(claims, hold)
        self._take.observe(self._clock.monotonic() - begun)
        return taken

    async def settle(self, hold: str, claims: Sequence[Claim]) -> Settled:
        begun = self._clock.monotonic()
        settled = await self._counters.settle(hold, claims)
        self._settle.observe(self._clock.monotonic() - begun)
        return settled
