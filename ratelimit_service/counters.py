"""Counters in a store: what a call claims is taken whole or not at all, and put right when the call ends.

Where all keys live on one server a take is one step, and so is a settlement; where they may not, see `slots`.

Errors: StoreUnavailable (ratelimit_service.scripts) leaves open whether the step was done.
"""

from collections.abc import Sequence

from ratelimit_service import slots, steps
from ratelimit_service.claims import Calendar, Claim, Hold, InFlight, Settled, State, Taken, Unsettled
from ratelimit_service.dated import DatedScripts
from ratelimit_service.memory import unsettled
from ratelimit_service.places import read_record
from ratelimit_service.scripts import Scripts
from service_kit.clock import Clock


class Counters:
    """Counters behind scripts."""

    def __init__(self, scripts: Scripts, clock: Clock) -> None:
        self._scripts = scripts
        self._store = DatedScripts(scripts, clock)

    async def take(self, claims: Sequence[Claim], hold: Hold | None = None) -> Taken:
        """Takes all enforced claims or none; with `hold`, those that are held are corrected at its settlement."""
        if any(isinstance(claim.measure, InFlight) and not (hold and claim.held) for claim in claims):
            raise ValueError("calls under way are held, and given back with the end of their hold")
        if self._scripts.clustered:
            return await slots.take(self._store, claims, hold)
        record = None if hold is None else steps.Record(hold, steps.hold_keys(hold.id))
        return await self._store.take(claims, record)

    async def settle(self, hold: str, claims: Sequence[Claim]) -> Settled:
        """Puts what is held to what the call came to: claims as they were taken, with the real amounts.

        Calls under way are given back whatever the claims say; a place that no claim speaks of stays as it was taken.
        So `settle(hold, ())` acknowledges one that is `unsettled`.
        """
        if self._scripts.clustered:
            return await slots.settle(self._scripts, hold, claims)
        reply = await self._scripts.call(steps.settle(hold, steps.hold_keys(hold), claims))
        return Settled(known=reply[0] == steps.DONE)

    async def unsettled(self, limit: int) -> tuple[Unsettled, ...]:
        """Holds whose lease is over, at most so many; told again until they are settled, a week at most."""
        found: list[Unsettled] = []
        for shard in range(self._shards):
            found += await self._unsettled(shard, limit - len(found))
        return tuple(found)

    async def read(self, claims: Sequence[Claim]) -> tuple[State, ...]:
        """How counters stand; nothing is taken."""
        by_slot: dict[str, list[Claim]] = {}
        for claim in claims:
            by_slot.setdefault(claim.slot if self._scripts.clustered else "", []).append(claim)
        found = {claim.key: one for group in by_slot.values() for claim, one in await self._read(group)}
        return tuple(found[claim.key] for claim in claims)

    async def grant(self, claim: Claim, amount: int) -> State:
        """More of a calendar window, until it ends."""
        return await self._changed(claim, grant=amount)

    async def reset(self, claim: Claim) -> State:
        """A calendar window as if nothing had been used; what is held stays counted, and what was granted."""
        return await self._changed(claim, forget=True)

    @property
    def _shards(self) -> int:
        return steps.SHARDS if self._scripts.clustered else 1

    async def _unsettled(self, shard: int, limit: int) -> list[Unsettled]:
        if limit <= 0:
            return []
        _, _, *ids = await self._scripts.call(steps.overdue(shard, limit))
        holds = [steps.text_of(one) for one in ids]
        if not holds:
            return []
        _, _, *texts = await self._scripts.call(steps.records(holds, self._shards))
        pairs = zip(holds, map(steps.text_of, texts), strict=True)
        return [unsettled(hold, *read_record(text)) for hold, text in pairs if text]

    async def _read(self, claims: Sequence[Claim]) -> list[tuple[Claim, State]]:
        reply = await self._store.call(lambda now: steps.states(claims, now))
        return list(zip(claims, steps.read_states(reply, claims), strict=True))

    async def _changed(self, claim: Claim, *, grant: int = 0, forget: bool = False) -> State:
        if not isinstance(claim.measure, Calendar):
            raise TypeError(f"{claim.key}: only a calendar window is granted or reset")
        reply = await self._store.call(lambda now: steps.states([claim], now, grant=grant, forget=forget))
        return steps.read_states(reply, [claim])[0]
