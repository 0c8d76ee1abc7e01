"""Counters of one process: the arithmetic of windows and calendars on dictionaries, all or nothing as in the store.

It decides as the scripts do (a test drives both with one sequence), but for one thing: `now` is an argument.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ratelimit_service import calendars, windows
from ratelimit_service.calendars import Tally
from ratelimit_service.claims import Charged, Claim, Hold, Settled, State, Taken, Unsettled
from ratelimit_service.places import KEPT, Counter, Kind, Place, counter, place
from ratelimit_service.windows import EMPTY, MICROSECONDS, UNMOVED, Moves, Reading, Ring, Window

# When a call under way ends nobody knows: another may be tried so soon.
SOON: Final = MICROSECONDS


@dataclass(frozen=True)
class Sliding:
    """The sub-windows of one counter, and which of them a clock that was set back has moved."""

    ring: Ring = field(default_factory=lambda: EMPTY)
    moved: Moves = UNMOVED


@dataclass(frozen=True)
class Held:
    """A call under way."""

    note: str
    until: int
    places: tuple[Place, ...]


@dataclass
class MemoryCounters:
    """What is counted, by key; `until` is when a key may be forgotten."""

    sliding: dict[str, Sliding] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    holds: dict[str, Held] = field(default_factory=dict)
    until: dict[str, int] = field(default_factory=dict)

    def take(self, claims: Sequence[Claim], hold: Hold | None, now: int) -> Taken:
        """Takes all enforced claims or none."""
        before = [self._reading(claim, now) for claim in claims]
        admitted = not any(found.retry and not claim.report for claim, found in zip(claims, before, strict=True))
        fits = [claim for claim, found in zip(claims, before, strict=True) if not found.retry]
        if admitted and hold is not None:
            if hold.id in self.holds:
                return Taken(admitted=False, readings=(None,) * len(claims), repeated=True, now=now)
            self._open(hold, fits, now)
        if admitted:
            for claim in fits:
                self._add(claim, now)
        after = (self._reading(claim, now) for claim in claims)
        readings = (Reading(a.count, a.reset, b.retry, b.granted) for a, b in zip(after, before, strict=True))
        return Taken(admitted, tuple(readings), now=now)

    def settle(self, hold: str, claims: Sequence[Claim], now: int) -> Settled:
        """Puts every place of a hold to what its claim came to; one without a claim stays as it was taken."""
        found = self.holds.pop(hold, None)
        if found is None:
            return Settled(known=False)
        reals = real_amounts(claims)
        for one in found.places:
            self._correct(one, real_amount(one, reals), now)
        return Settled(known=True)

    def read(self, claims: Sequence[Claim], now: int) -> tuple[State, ...]:
        """How counters stand."""
        return tuple(self._state(claim, now) for claim in claims)

    def grant(self, claim: Claim, amount: int, now: int) -> State:
        """More of a calendar window."""
        found = counter(claim, now)
        tally = self.tallies.get(found.key, Tally())
        self.tallies[found.key] = replace(tally, granted=tally.granted + amount)
        self.until[found.key] = found.second + KEPT
        return self._state(claim, now)

    def reset(self, claim: Claim, now: int) -> State:
        """A calendar window as if nothing had been used."""
        key = counter(claim, now).key
        if key in self.tallies:
            self.tallies[key] = calendars.forgotten(self.tallies[key])
        return self._state(claim, now)

    def unsettled(self, limit: int, now: int) -> tuple[Unsettled, ...]:
        """Holds whose lease is over, oldest first."""
        over = sorted((held.until, name) for name, held in self.holds.items() if held.until <= now)
        return tuple(unsettled(name, self.holds[name].note, self.holds[name].places) for _, name in over[:limit])

    def forget(self, now: int) -> None:
        """Drops what counts no longer."""
        for key in [key for key, until in self.until.items() if until <= now]:
            del self.until[key]
            self.sliding.pop(key, None)
            self.tallies.pop(key, None)
        for name in [name for name, held in self.holds.items() if held.until + KEPT <= now]:
            del self.holds[name]

    def _open(self, hold: Hold, fits: Sequence[Claim], now: int) -> None:
        places = tuple(place(claim, now) for claim in fits if claim.held)
        self.holds[hold.id] = Held(hold.note, now + hold.lease, places)

    def _reading(self, claim: Claim, now: int) -> Reading:
        found = counter(claim, now)
        if found.kind is Kind.CALENDAR:
            tally = self.tallies.get(found.key, Tally())
            return calendars.reading(tally, claim.measure.limit, found.second - now, claim.amount)
        window = Window(claim.measure.limit, found.first)
        said = windows.reading(window, self._live(found, now).ring, now, claim.amount)
        return replace(said, retry=min(SOON, said.retry)) if found.kind is Kind.IN_FLIGHT else said

    def _live(self, found: Counter, now: int) -> Sliding:
        """The counter as of now; it is kept so, as in the store."""
        self.until.setdefault(found.key, now + found.first + found.second)
        kept = self.sliding.get(found.key, Sliding())
        moved = windows.moves(found.window, kept.ring, now, kept.moved)
        self.sliding[found.key] = Sliding(windows.live(found.window, kept.ring, now), moved)
        return self.sliding[found.key]

    def _add(self, claim: Claim, now: int) -> None:
        found = counter(claim, now)
        if found.kind is Kind.CALENDAR:
            self.until[found.key] = found.second + KEPT
            tally = self.tallies.get(found.key, Tally())
            self.tallies[found.key] = calendars.taken(tally, claim.amount, held=claim.held)
        else:
            self.until[found.key] = now + found.first + found.second
            kept = self.sliding[found.key]
            self.sliding[found.key] = Sliding(windows.taken(found.window, kept.ring, now, claim.amount), kept.moved)

    def _correct(self, one: Place, real: int, now: int) -> None:
        found = one.counter
        if found.kind is not Kind.CALENDAR:
            kept = self._live(found, now)
            ring = windows.corrected(found.window, kept.ring, now, one.index, real - one.amount, kept.moved)
            self.sliding[found.key] = Sliding(ring, kept.moved)
        elif now < found.second + KEPT:
            tally = self.tallies.get(found.key, Tally())
            self.tallies[found.key] = calendars.corrected(tally, one.amount, real, held=one.held)

    def _state(self, claim: Claim, now: int) -> State:
        found = counter(claim, now)
        if found.kind is Kind.CALENDAR:
            tally = self.tallies.get(found.key, Tally())
            return state(found, now, tally.count, tally.held, tally.granted)
        return state(found, now, sum(self._live(found, now).ring.values()), 0, 0)


def real_amounts(claims: Sequence[Claim]) -> Mapping[str, int]:
    """What a call came to, by claim."""
    return {claim.key: claim.amount for claim in claims}


def real_amount(one: Place, reals: Mapping[str, int]) -> int:
    """What a place is put to: what was under way is given back, what no claim speaks of stays as it was taken."""
    return 0 if one.counter.kind is Kind.IN_FLIGHT else reals.get(one.claim, one.amount)


def state(found: Counter, now: int, used: int, held: int, granted: int) -> State:
    """A counter as inspection shows it."""
    if found.kind is Kind.CALENDAR:
        return State(used, held, granted, found.first, found.second)
    return State(used, used if found.kind is Kind.IN_FLIGHT else held, granted, now - found.first, now)


def unsettled(hold: str, note: str, places: Sequence[Place]) -> Unsettled:
    """A hold as those who ask for overdue ones are told."""
    charges = (Charged(one.claim, one.amount) for one in places if one.counter.kind is not Kind.IN_FLIGHT)
    return Unsettled(hold, note, tuple(charges))
