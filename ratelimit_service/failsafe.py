"""What rules say while the store cannot be asked: no call, calls counted by this process alone, or all calls.

A call passes only if every rule that counts it lets it. What was counted here is never added to the store: while it is
away each process admits up to the limit. An answer that was lost may have been counted: nothing is asked again, and a
hold that may be open in the store is closed when that is back.

Errors: StoreUnavailable - the store is away and a rule lets no call pass meanwhile.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from ratelimit_service.claims import Claim, Failing, Hold, Settled, Taken
from ratelimit_service.failures import FailureKind, Unanswered
from ratelimit_service.late_settlements import LateSettlements
from ratelimit_service.memory import MemoryCounters
from ratelimit_service.places import counter
from ratelimit_service.policy import LEASE_SECONDS
from ratelimit_service.scripts import StoreUnavailable
from ratelimit_service.watch import CallCounters
from ratelimit_service.windows import MICROSECONDS
from service_kit.clock import Clock

# Counters that one process keeps while the store is away; beyond them a rule that counts here lets no new one pass.
MOST_COUNTERS: Final = 50_000
# Calls that were answered without the store, to know their ends.
MOST_HOLDS: Final = 20_000
# Seconds between two looks for counters that count no longer.
FORGET_EVERY: Final = 1.0
NOTHING: Final = Taken(admitted=True, readings=())


@dataclass(frozen=True)
class Answered:
    """What became of a call without the store, and whether that may have taken it all the same."""

    admitted: bool
    may_be_open: bool


class Failsafe:
    """Counters that answer without the store as each claim says."""

    def __init__(
        self, counters: CallCounters, *, late: LateSettlements, registry: CollectorRegistry, clock: Clock
    ) -> None:
        self._counters = counters
        self._late = late
        self._clock = clock
        self._memory = MemoryCounters()
        self._next_forget = 0.0
        # By hold, oldest first.
        self._answered: OrderedDict[str, Answered] = OrderedDict()
        without = Counter(
            "tollgate_ratelimit_without_store",
            "Calls that were answered without the store: denied, counted here (local) or allowed",
            ["answer"],
            registry=registry,
        )
        self._answers = {failing: without.labels(name) for failing, name in ANSWERS.items()}
        kept = Gauge("tollgate_ratelimit_local_counters", "Counters that this process keeps itself", registry=registry)
        kept.set_function(lambda: len(self._memory.until))

    async def take(self, claims: Sequence[Claim], hold: Hold | None = None) -> Taken:
        try:
            taken = await self._counters.take(claims, hold)
        except StoreUnavailable as failure:
            answer = self._without_store(claims, hold)
            if hold is not None:
                self._note(hold, claims, failure, admitted=answer is not None and answer.admitted)
            if answer is None:
                raise
            return answer
        if hold is not None and taken.degraded and not (taken.admitted or taken.repeated):
            self._undo(hold, claims)
        return taken

    async def settle(self, hold: str, claims: Sequence[Claim]) -> Settled:
        """One that the store cannot be told now is told later; it is not told of what it never knew."""
        answered = self._answered.pop(hold, None)
        self._memory.settle(hold, claims, self._now())
        if answered is not None and not (answered.admitted and answered.may_be_open):
            return Settled(known=answered.admitted)
        try:
            settled = await self._counters.settle(hold, claims)
        except StoreUnavailable:
            if claims:
                self._late.add(hold, claims, seconds=LEASE_SECONDS)
            return Settled(known=bool(claims))
        return Settled(known=settled.known or answered is not None)

    def _without_store(self, claims: Sequence[Claim], hold: Hold | None) -> Taken | None:
        """What the claims say together; None where one of them lets no call pass."""
        failing = {_failing(claim) for claim in claims}
        answer = next(each for each in STRICTEST_FIRST if each in failing or each is Failing.ALLOW)
        taken = None if answer is Failing.DENY else self._local(claims, hold)
        self._answers[answer if taken is not None else Failing.DENY].inc()
        return taken

    def _local(self, claims: Sequence[Claim], hold: Hold | None) -> Taken | None:
        local = [claim for claim in claims if claim.failing is Failing.LOCAL]
        self._forget()
        if self._is_full(local):
            return None
        holds = any(claim.held for claim in local)
        taken = self._memory.take(local, hold if holds else None, self._now()) if local else NOTHING
        readings = iter(taken.readings)
        return replace(
            taken,
            readings=tuple(next(readings) if claim.failing is Failing.LOCAL else None for claim in claims),
            degraded=True,
            now=self._now(),
        )

    def _is_full(self, local: Sequence[Claim]) -> bool:
        kept, now = self._memory.until, self._now()
        return len(kept) + sum(counter(claim, now).key not in kept for claim in local) > MOST_COUNTERS

    def _note(self, hold: Hold, claims: Sequence[Claim], failure: StoreUnavailable, *, admitted: bool) -> None:
        """A call that passes is settled when it ends. One that does not is undone, if the store may have taken it."""
        may_be_open = not (isinstance(failure, Unanswered) and failure.kind is FailureKind.RESTING)
        self._answered[hold.id] = Answered(admitted, may_be_open)
        if len(self._answered) > MOST_HOLDS:
            self._answered.popitem(last=False)
        if may_be_open and not admitted:
            self._undo(hold, claims)

    def _undo(self, hold: Hold, claims: Sequence[Claim]) -> None:
        self._late.add(hold.id, [replace(claim, amount=0) for claim in claims], seconds=LEASE_SECONDS)

    def _forget(self) -> None:
        if self._clock.monotonic() >= self._next_forget:
            self._next_forget = self._clock.monotonic() + FORGET_EVERY
            self._memory.forget(self._now())

    def _now(self) -> int:
        return int(self._clock.now() * MICROSECONDS)


STRICTEST_FIRST: Final = (Failing.DENY, Failing.LOCAL, Failing.ALLOW)
ANSWERS: Final = {Failing.DENY: "denied", Failing.LOCAL: "local", Failing.ALLOW: "allowed"}


def _failing(claim: Claim) -> Failing:
    """A rule in report mode refuses nothing, whatever it says."""
    return Failing.ALLOW if claim.report and claim.failing is Failing.DENY else claim.failing
