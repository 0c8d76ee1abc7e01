"""Sliding windows: how many calls a period holds and when it frees; whole microseconds, `now` is an argument.

A period is cut into sub-windows, each with one counter. Every sub-window that overlaps `(now - period, now]` counts in
full, the oldest one too, of which only a part still lies inside: so never more than the limit in any period, at the
price of at most one sub-window of shortfall. Memory is a handful of numbers, whatever the limit. `take.lua` does the
same inside the store; a test drives both with one sequence.
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
    newest = window.newest(now)
    return {**ring, newest: ring.get(newest, 0) + hits}


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
