"""Sliding windows: how many calls a period holds and when it frees; whole microseconds, `now` is an argument.

A period is cut into sub-windows, each with one counter. Every sub-window that overlaps `(now - period, now]` counts in
full, the oldest one too, of which only a part still lies inside: so never more than the limit in any period, at the
price of at most one sub-window of shortfall. Memory is a handful of numbers, whatever the limit. `lua/counter.lua` does
the same inside the store; a test drives both with one sequence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

SUB_WINDOWS: Final = 20
MICROSECONDS: Final = 1_000_000

# The count of each sub-window that has one, by its number since the epoch.
Ring = Mapping[int, int]
EMPTY: Final[Ring] = MappingProxyType({})
# Before and behind every sub-window.
NEVER: Final = -1
ALWAYS: Final = 2**53


@dataclass(frozen=True)
class Window:
    """Never more than `limit` in any `period` (microseconds)."""

    limit: int
    period: int

    @property
    def length(self) -> int:
        """Microseconds of one sub-window; exact, since a period is whole seconds."""
        return -(-self.period // SUB_WINDOWS)

    def newest(self, now: int) -> int:
        """The sub-window that `now` lies in."""
        return now // self.length

    def oldest(self, now: int) -> int:
        """The first sub-window that overlaps `(now - period, now]`."""
        return (now - self.period + 1) // self.length

    def leaves(self, index: int) -> int:
        """The first moment at which a sub-window no longer counts."""
        return (index + 1) * self.length + self.period - 1


@dataclass(frozen=True)
class Reading:
    """A counter as one call found or left it; durations in microseconds."""

    count: int
    # Until the oldest counted calls leave and more is free; 0: nothing is counted.
    reset: int
    # Until a call of these hits would pass; 0: it passes now.
    retry: int
    # What an admin has added to the limit, until the window ends.
    granted: int = 0


@dataclass(frozen=True)
class Moves:
    """The last sub-window from which counts were ever moved, and the first one to which they were."""

    back: int = NEVER
    to: int = ALWAYS


UNMOVED: Final = Moves()


def live(window: Window, ring: Ring, now: int) -> Ring:
    """The part of a ring that counts now.

    Counts from the future are left by a clock that was set back. They count as of now: no period gets more than its
    limit, and none is blocked for longer than the period.
    """
    newest, oldest = window.newest(now), window.oldest(now)
    counts: dict[int, int] = {}
    for index, count in ring.items():
        if index >= oldest:
            place = min(index, newest)
            counts[place] = counts.get(place, 0) + count
    return counts


def reading(window: Window, ring: Ring, now: int, hits: int) -> Reading:
    """What a live ring says to a call of so many hits."""
    reset = window.leaves(min(ring)) - now if ring else 0
    return Reading(sum(ring.values()), reset, _retry(window, ring, now, hits))


def taken(window: Window, ring: Ring, now: int, hits: int) -> Ring:
    """A live ring with the hits of an admitted call."""
    return _changed(ring, window.newest(now), hits)


def moves(window: Window, ring: Ring, now: int, before: Moves = UNMOVED) -> Moves:
    """What `live` moves now, and what it moved before, unless that has left."""
    newest = window.newest(now)
    before = before if before.back >= window.oldest(now) else UNMOVED
    last = max((index for index in ring if index > newest), default=NEVER)
    return before if last == NEVER else Moves(max(before.back, last), min(before.to, newest))


def corrected(window: Window, ring: Ring, now: int, place: int, change: int, moved: Moves = UNMOVED) -> Ring:
    """A live ring after a call that was counted at `place` came to more or less; one that has left counts nothing.

    A call that may have been moved is given back oldest first, and from nowhere younger than it may be: a count that is
    missing there would free calls before their time.
    """
    if window.leaves(place) <= now:
        return ring
    if change > 0:
        return _changed(ring, min(place, window.newest(now)), change)
    old = sorted(index for index in ring if index <= min(place, moved.to))
    for index in [place] if place > moved.back else old:
        given = min(-change, ring.get(index, 0))
        ring, change = _changed(ring, index, -given), change + given
    return ring


def _changed(ring: Ring, index: int, change: int) -> Ring:
    """Without what counts nothing."""
    return {number: count for number, count in {**ring, index: ring.get(index, 0) + change}.items() if count}


def _retry(window: Window, ring: Ring, now: int, hits: int) -> int:
    if hits > window.limit:
        return window.period  # never passes; a whole period is the longest that any other call waits
    excess = sum(ring.values()) + hits - window.limit
    moment = now
    for index in sorted(ring):
        if excess <= 0:
            break
        excess -= ring[index]
        moment = window.leaves(index)
    return moment - now
