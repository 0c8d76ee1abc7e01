"""Calendar windows, UTC: when the day, week or month of a moment begins and ends, and what is counted in one.

Whole microseconds, `now` is an argument. `lua/counter.lua` does the same inside the store, but for the calendar itself,
of which it is told.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from ratelimit_service.claims import CalendarUnit
from ratelimit_service.windows import Reading

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
DAY: Final = timedelta(days=1)
DAY_LENGTH: Final = DAY // MICROSECOND


def bounds(unit: CalendarUnit, now: int) -> tuple[int, int]:
    """The first moment of the window that `now` lies in, and the first one behind it."""
    return _bounds_of_day(unit, now // DAY_LENGTH)


def date_of(moment: int) -> str:
    """The date of a moment, as in keys."""
    return (EPOCH + moment * MICROSECOND).date().isoformat()


@lru_cache(maxsize=64)
def _bounds_of_day(unit: CalendarUnit, day: int) -> tuple[int, int]:
    today = EPOCH + day * DAY
    match unit:
        case CalendarUnit.DAY:
            begin, end = today, today + DAY
        case CalendarUnit.WEEK:
            begin = today - today.weekday() * DAY
            end = begin + 7 * DAY
        case CalendarUnit.MONTH:
            begin = today.replace(day=1)
            end = (begin + 31 * DAY).replace(day=1)
    return (begin - EPOCH) // MICROSECOND, (end - EPOCH) // MICROSECOND


@dataclass(frozen=True)
class Tally:
    """What is counted in one window of a calendar."""

    # With what is held.
    count: int = 0
    held: int = 0
    granted: int = 0


def reading(tally: Tally, limit: int, until_end: int, amount: int) -> Reading:
    """What a tally says to a call of this amount."""
    fits = tally.count + amount <= limit + tally.granted
    return Reading(tally.count, until_end, 0 if fits else until_end, tally.granted)


def taken(tally: Tally, amount: int, *, held: bool) -> Tally:
    """A tally with the amount of an admitted call."""
    return replace(tally, count=tally.count + amount, held=tally.held + amount * held)


def corrected(tally: Tally, amount: int, real: int, *, held: bool) -> Tally:
    """A tally after a call that took an amount came to another."""
    left = max(0, tally.held - amount * held)
    return replace(tally, count=max(left, tally.count + real - amount), held=left)


def forgotten(tally: Tally) -> Tally:
    """A tally as if nothing had been used; what is held stays counted."""
    return replace(tally, count=tally.held)
