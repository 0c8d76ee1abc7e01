"""Counters in memory, on the arithmetic that the service itself uses while its store is away: the store's double."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ratelimit_service.claims import Claim, Hold, Settled, State, Taken, Unsettled
from ratelimit_service.memory import MemoryCounters as Memory
from ratelimit_service.scripts import StoreUnavailable
from ratelimit_service.windows import MICROSECONDS
from service_kit.clock import Clock


@dataclass
class MemoryCounters:
    """Counts like the store; `broken` makes it answer like one that is down."""

    clock: Clock
    memory: Memory = field(default_factory=Memory)
    broken: bool = False

    @property
    def untouched(self) -> bool:
        return not (self.memory.sliding or self.memory.tallies or self.memory.holds)

    async def take(self, claims: Sequence[Claim], hold: Hold | None = None) -> Taken:
        return self.memory.take(claims, hold, self._now())

    async def settle(self, hold: str, claims: Sequence[Claim]) -> Settled:
        return self.memory.settle(hold, claims, self._now())

    async def read(self, claims: Sequence[Claim]) -> tuple[State, ...]:
        return self.memory.read(claims, self._now())

    async def grant(self, claim: Claim, amount: int) -> State:
        return self.memory.grant(claim, amount, self._now())

    async def reset(self, claim: Claim) -> State:
        return self.memory.reset(claim, self._now())

    async def unsettled(self, limit: int) -> tuple[Unsettled, ...]:
        return self.memory.unsettled(limit, self._now())

    def _now(self) -> int:
        if self.broken:
            raise StoreUnavailable("broken by the test")
        return int(self.clock.now() * MICROSECONDS)
