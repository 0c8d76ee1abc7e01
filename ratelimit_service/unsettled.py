"""Calls whose end never came: told to the ledger, in a file that it tails, before the store may forget them.

A process that ends between the two writes a line again; several that share a store may write one each. The id of the
hold says that it is one call.
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from ratelimit_service.claims import Claim, Settled, Unsettled
from ratelimit_service.metrics import LimitMetrics
from ratelimit_service.scripts import StoreUnavailable
from service_kit.appended import append
from service_kit.clock import Clock
from service_kit.log import Logger

FILE_NAME: Final = "usage-events.jsonl"
# Seconds between two looks.
EVERY: Final = 10.0
# Holds of one look.
MOST: Final = 200


class ExpiringHolds(Protocol):
    """Where holds end that nobody settled."""

    async def unsettled(self, limit: int) -> Sequence[Unsettled]: ...

    async def settle(self, hold: str, claims: Sequence[Claim]) -> Settled: ...


class UnsettledCalls:
    """Looks for holds whose lease is over."""

    def __init__(self, holds: ExpiringHolds, *, metrics: LimitMetrics, clock: Clock, log: Logger) -> None:
        self._holds = holds
        self._metrics = metrics
        self._clock = clock
        self._log = log

    async def follow(self, state_dir: Path) -> None:
        """Looks every ten seconds, forever."""
        while True:
            await asyncio.sleep(EVERY)
            await self.look(state_dir / FILE_NAME)

    async def look(self, file: Path) -> None:
        """Writes down what is found, then lets the store forget it; what fails is tried with the next look."""
        try:
            found = await self._holds.unsettled(MOST)
            if not found:
                return
            now = self._clock.now()
            await asyncio.to_thread(append, file, [line(hold, now) for hold in found])
            for hold in found:
                await self._holds.settle(hold.id, ())
        except StoreUnavailable:
            return  # told where the store is watched
        except OSError as error:
            self._log.error("calls without an end cannot be written down", file=str(file), reason=error.strerror)
            return
        self._metrics.unsettled(len(found))
        self._log.warning("calls whose end never came stay charged as they were held", calls=len(found))


def line(hold: Unsettled, now: float) -> bytes:
    """One event, as docs/limits.md describes it."""
    known = json.loads(hold.note) if hold.note else {}
    event = {"type": "unsettled", "hold": hold.id, "at": round(now, 3), **known}
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
