"""Counters in a dictionary, on the arithmetic of windows.py: the double of the store."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ratelimit_service.store import Counter, StoreUnavailable, Taken
from ratelimit_service.windows import EMPTY, MICROSECONDS, Reading, Ring, live, reading, taken
from service_kit.clock import Clock


@dataclass
class MemoryCounters:
    """Takes like the store; `broken` makes it answer like one that is down."""

    clock: Clock
    rings: dict[str, Ring] = field(default_factory=dict)
    broken: bool = False

    async def take(self, counters: Sequence[Counter], hits: int) -> Taken:
        if self.broken:
            raise StoreUnavailable("broken by the test")
        return self.take_at(counters, hits, int(self.clock.now() * MICROSECONDS))

    def take_at(self, counters: Sequence[Counter], hits: int, now: int) -> Taken:
        rings = [live(counter.window, self.rings.get(counter.key, EMPTY), now) for counter in counters]
        before = [reading(counter.window, ring, now, hits) for counter, ring in zip(counters, rings, strict=True)]
        admitted = not any(found.retry for found in before)
        if admitted:
            rings = [taken(counter.window, ring, now, hits) for counter, ring in zip(counters, rings, strict=True)]
        self.rings.update(zip((counter.key for counter in counters), rings, strict=True))
        after = [reading(counter.window, ring, now, hits) for counter, ring in zip(counters, rings, strict=True)]
        readings = (Reading(now_.count, now_.reset, then.retry) for now_, then in zip(after, before, strict=True))
        return Taken(admitted, tuple(readings))
