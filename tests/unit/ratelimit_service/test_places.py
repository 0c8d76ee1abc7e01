"""Places of holds: each window has a counter of its own, and a record says what was written into it."""

import pytest

from ratelimit_service.claims import Calendar, CalendarUnit, Claim, InFlight
from ratelimit_service.keys import counter_key
from ratelimit_service.places import Kind, counter, place, read_record, record
from ratelimit_service.windows import MICROSECONDS, Window

NOW = 1_704_067_199 * MICROSECONDS  # 2023-12-31T23:59:59
KEY = counter_key(["tenant", "a b"], ["rule", "50%"])
MEASURES = (Window(5, MICROSECONDS), Calendar(5, CalendarUnit.WEEK), InFlight(5, 60 * MICROSECONDS))


def claim(measure, *, held=True):
    return Claim(KEY, "tenant:a%20b", measure, 3, held=held)


@pytest.mark.parametrize(
    ("measure", "key", "kind"),
    [
        pytest.param(MEASURES[0], KEY, Kind.WINDOW, id="window"),
        pytest.param(MEASURES[1], f"{KEY}:week:2023-12-25", Kind.CALENDAR, id="calendar"),
        pytest.param(MEASURES[2], f"{KEY}:60000000", Kind.IN_FLIGHT, id="in-flight"),
    ],
)
def test_counter(measure, key, kind):
    found = counter(claim(measure), NOW)

    assert (found.key, found.kind) == (key, kind)


def test_a_new_calendar_window_is_a_new_counter():
    measure = claim(MEASURES[1])

    assert counter(measure, NOW) != counter(measure, NOW + MICROSECONDS)


@pytest.mark.parametrize("note", ["", '{"route":"chat"}'], ids=["empty", "note"])
def test_a_record_is_read_as_it_was_written(note):
    places = [place(claim(measure, held=number > 0), NOW) for number, measure in enumerate(MEASURES)]

    assert read_record(record(note, places)) == (note, tuple(places))


def test_the_slot_of_a_place_is_that_of_its_claim():
    assert place(claim(MEASURES[0]), NOW).slot == claim(MEASURES[0]).slot
