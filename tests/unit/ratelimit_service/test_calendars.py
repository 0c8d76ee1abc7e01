"""Days, weeks and months of UTC lie end to end, and a tally keeps what is held apart."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_service.calendars import Tally, bounds, corrected, date_of, forgotten, reading, taken
from ratelimit_service.claims import CalendarUnit
from ratelimit_service.windows import MICROSECONDS, Reading


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * MICROSECONDS


@pytest.mark.parametrize(
    ("unit", "moment", "begin", "end"),
    [
        pytest.param("day", "2024-02-28T23:59:59", "2024-02-28", "2024-02-29", id="before-a-leap-day"),
        pytest.param("day", "2024-02-29T00:00:00", "2024-02-29", "2024-03-01", id="first-moment"),
        pytest.param("week", "2023-12-31T12:00:00", "2023-12-25", "2024-01-01", id="sunday"),
        pytest.param("week", "2024-01-01T00:00:00", "2024-01-01", "2024-01-08", id="monday"),
        pytest.param("month", "2024-02-10T00:00:00", "2024-02-01", "2024-03-01", id="leap-month"),
        pytest.param("month", "2023-12-31T23:59:59", "2023-12-01", "2024-01-01", id="last-month"),
        pytest.param("month", "2100-02-28T00:00:00", "2100-02-01", "2100-03-01", id="no-leap-year"),
    ],
)
def test_bounds(unit, moment, begin, end):
    assert bounds(CalendarUnit(unit), at(moment)) == (at(begin), at(end))


@given(st.sampled_from(CalendarUnit), st.integers(0, 2**52))
def test_windows_lie_end_to_end(unit, now):
    begin, end = bounds(unit, now)

    assert begin <= now < end
    assert bounds(unit, begin) == bounds(unit, end - 1) == (begin, end)
    assert bounds(unit, end)[0] == end
    assert at(date_of(begin)) == begin


@pytest.mark.parametrize(
    ("tally", "amount", "expected"),
    [
        pytest.param(Tally(count=3), 2, Reading(3, 60, 0), id="fits"),
        pytest.param(Tally(count=4), 2, Reading(4, 60, 60), id="full-until-it-ends"),
        pytest.param(Tally(count=4, granted=1), 2, Reading(4, 60, 0, 1), id="granted"),
        pytest.param(Tally(count=9), 0, Reading(9, 60, 60), id="came-to-more-than-was-held"),
    ],
)
def test_reading(tally, amount, expected):
    assert reading(tally, 5, 60, amount) == expected


def test_what_is_held_becomes_used_at_settlement():
    held = taken(Tally(count=1), 10, held=True)
    assert held == Tally(count=11, held=10)

    assert corrected(held, 10, 4, held=True) == Tally(count=5)


def test_what_is_held_outlives_a_reset():
    forgot = forgotten(taken(Tally(count=7, granted=2), 10, held=True))
    assert forgot == Tally(count=10, held=10, granted=2)

    assert corrected(forgot, 10, 4, held=True) == Tally(count=4, granted=2)


def test_a_settlement_of_what_the_store_has_lost_counts_nothing_below_zero():
    assert corrected(Tally(), 10, 4, held=True) == Tally()
