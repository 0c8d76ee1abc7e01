"""Counters that are measured, and whose store's going and coming back is one log line each, not one a call."""

from collections.abc import Sequence
from typing import Final

from ratelimit_service.limiter import Counters
from ratelimit_service.metrics import LimitMetrics
from ratelimit_service.store import Counter, StoreUnavailable, Taken
from service_kit.clock import Clock
from service_kit.log import Logger

# Seconds without a failure before the store is called back: one that answers every other call is still down.
STEADY: Final = 1.0


class WatchedCounters:
    """Passes every take on."""

    def __init__(self, counters: Counters, *, metrics: LimitMetrics, clock: Clock, log: Logger) -> None:
        self._counters = counters
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._failed_at: float | None = None

    async def take(self, counters: Sequence[Counter], hits: int) -> Taken:
        begun = self._clock.monotonic()
        try:
            taken = await self._counters.take(counters, hits)
        except StoreUnavailable as error:
            self._failed(error)
            raise
        self._answered(begun)
        return taken

    def _failed(self, error: StoreUnavailable) -> None:
        self._metrics.store_failed()
        if self._failed_at is None:
            self._log.error("store down: limited routes answer 503", reason=str(error))
        self._failed_at = self._clock.monotonic()

    def _answered(self, begun: float) -> None:
        now = self._clock.monotonic()
        self._metrics.store_answered(now - begun)
        if self._failed_at is not None and now - self._failed_at >= STEADY:
            self._failed_at = None
            self._log.info("store up")
