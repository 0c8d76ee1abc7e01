"""Counters that are known to be over: for at most a second the store is not asked whether they still are.

Only what cannot become free earlier is remembered: no counter that a call's end may put right, none in report mode. A
grant or a reset in this process drops what is known; elsewhere the second bounds it. Of the counters beside it, only
what the same claim would still be told is said again.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from ratelimit_service.claims import Claim, Hold, Settled, Taken
from ratelimit_service.watch import CallCounters
from ratelimit_service.windows import MICROSECONDS, Reading
from service_kit.clock import Clock

# Seconds.
LONGEST: Final = 1.0
# Counters that are remembered at a time.
MOST: Final = 10_000


@dataclass(frozen=True)
class Over:
    """A claim that did not fit, and how everything that was asked with it stood then."""

    claim: Claim
    since: float
    until: float
    readings: Mapping[Claim, Reading]
    # The store's clock.
    now: int


class Remembered:
    """Counters that refuse by what they know, and ask otherwise."""

    def __init__(self, counters: CallCounters, *, registry: CollectorRegistry, clock: Clock) -> None:
        self._counters = counters
        self._clock = clock
        self._over: OrderedDict[str, Over] = OrderedDict()
        self._refused = Counter(
            "tollgate_ratelimit_remembered",
            "Calls refused without asking the store, by a counter that it had just called used up",
            registry=registry,
        )

    async def take(self, claims: Sequence[Claim], hold: Hold | None = None) -> Taken:
        now = self._clock.monotonic()
        for claim in claims:
            over = self._over.get(claim.key)
            if over is not None and _refuses(over, claim, now):
                self._refused.inc()
                return _taken(over, claims, now)
        taken = await self._counters.take(claims, hold)
        if not taken.admitted and not taken.degraded and not taken.repeated:
            self._remember(claims, taken)
        return taken

    async def settle(self, hold: str, claims: Sequence[Claim]) -> Settled:
        return await self._counters.settle(hold, claims)

    def forget(self, key: str) -> None:
        """Something was granted or reset: the counter is asked again."""
        for name in [name for name, over in self._over.items() if any(claim.key == key for claim in over.readings)]:
            del self._over[name]

    def _remember(self, claims: Sequence[Claim], taken: Taken) -> None:
        now = self._clock.monotonic()
        known = zip(claims, taken.readings, strict=True)
        readings = {claim: reading for claim, reading in known if reading is not None}
        for claim, reading in readings.items():
            if not reading.retry or claim.report or claim.held:
                continue
            until = now + min(LONGEST, reading.retry / MICROSECONDS)
            self._over[claim.key] = Over(claim, now, until, readings, taken.now)
            self._over.move_to_end(claim.key)
        while len(self._over) > MOST:
            self._over.popitem(last=False)


def _refuses(over: Over, claim: Claim, now: float) -> bool:
    """Less might fit; a rule that was changed, or reports now, is another rule."""
    then = over.claim
    return now < over.until and claim.amount >= then.amount and claim.measure == then.measure and not claim.report


def _taken(over: Over, claims: Sequence[Claim], now: float) -> Taken:
    """What the store would say now of the same claims; of others nothing is known."""
    passed = int((now - over.since) * MICROSECONDS)
    asked = (over.claim if claim.key == over.claim.key else claim for claim in claims)
    readings = tuple(_later(over.readings.get(claim), passed) for claim in asked)
    return Taken(admitted=False, readings=readings, now=over.now + passed)


def _later(reading: Reading | None, passed: int) -> Reading | None:
    if reading is None:
        return None
    return replace(reading, reset=max(0, reading.reset - passed), retry=max(0, reading.retry - passed))
