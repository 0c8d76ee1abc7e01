"""The arithmetic of takes and settlements keeps every promise against an exact log; the store's is the same."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_service.calendars import bounds
from ratelimit_service.claims import Calendar, CalendarUnit, Charged, Claim, Hold, InFlight, Settled, Unsettled
from ratelimit_service.memory import MemoryCounters
from ratelimit_service.places import KEPT
from ratelimit_service.windows import MICROSECONDS, Window

SECOND = MICROSECONDS
EPOCH = 1_704_067_190 * SECOND  # ten seconds before a day, a week, a month and a year end
LEASE = 3600 * SECOND
PERIOD = 20 * SECOND
MINUTE = Claim("tg:{t}:window", "t", Window(9, PERIOD), 1, held=True)
MONTH = Claim("tg:{t}:month", "t", Calendar(12, CalendarUnit.MONTH), 1, held=True)
AT_ONCE = Claim("tg:{t}:at-once", "t", InFlight(3, 60 * SECOND), 1, held=True)
ALL = (MINUTE, MONTH, AT_ONCE)

untimed = settings(deadline=None)
# Time that passes, what the call may come to cost, and after how many further calls it came to which part of it.
calls = st.lists(
    st.tuples(st.integers(0, 5 * SECOND), st.integers(1, 5), st.integers(1, 6), st.floats(0, 1)),
    min_size=1,
    max_size=60,
)


def amounts(*numbers):
    return tuple(replace(claim, amount=number) for claim, number in zip(ALL, numbers, strict=True))


class Log:
    """What admitted calls were charged: when, how much, and whether they are under way."""

    def __init__(self):
        self.charges = {}

    def within(self, first, last):
        return sum(charge for moment, charge, _ in self.charges.values() if first < moment <= last)

    def under_way(self):
        return sum(under_way for _, _, under_way in self.charges.values())


@untimed
@given(calls)
def test_no_window_has_more_than_the_limit_whatever_calls_come_to(sequence):
    counters, log, ends = MemoryCounters(), Log(), []
    now = EPOCH
    for number, (passed, held, length, part) in enumerate(sequence):
        now += passed
        taken = counters.take(amounts(held, held, 1), Hold(str(number), LEASE), now)
        if taken.admitted:
            log.charges[number] = (now, held, True)
            ends.append((number + length, number, int(held * part)))
        for end in [end for end in ends if end[0] <= number]:
            ends.remove(end)
            _, name, real = end
            assert counters.settle(str(name), amounts(real, real, 1), now).known
            log.charges[name] = (log.charges[name][0], real, False)

        assert log.within(now - PERIOD, now) <= MINUTE.measure.limit
        begin, _ = bounds(CalendarUnit.MONTH, now)
        assert log.within(begin - 1, now) == counters.read([MONTH], now)[0].used <= MONTH.measure.limit
        assert log.under_way() == counters.read([AT_ONCE], now)[0].used <= AT_ONCE.measure.limit


def test_a_refused_call_takes_nothing_and_holds_nothing():
    counters = MemoryCounters()
    full = (MINUTE, replace(MONTH, amount=13))

    assert not counters.take(full, Hold("one", LEASE), EPOCH).admitted

    assert [state.used for state in counters.read(ALL, EPOCH)] == [0, 0, 0]
    assert counters.settle("one", (), EPOCH) == Settled(known=False)


def test_a_rule_in_report_mode_refuses_nothing_and_counts_what_fits():
    counters = MemoryCounters()
    reported = replace(MINUTE, amount=6, report=True)

    first, second = (counters.take((reported, MONTH), None, EPOCH) for _ in range(2))

    assert (first.admitted, second.admitted) == (True, True)
    assert first.readings[0].retry == 0 < second.readings[0].retry
    assert [state.used for state in counters.read((MINUTE, MONTH), EPOCH)] == [6, 2]


def test_a_hold_is_settled_once():
    counters = MemoryCounters()
    counters.take(amounts(5, 5, 1), Hold("one", LEASE), EPOCH)

    assert counters.settle("one", amounts(2, 3, 1), EPOCH) == Settled(known=True)
    assert counters.settle("one", amounts(0, 0, 0), EPOCH) == Settled(known=False)
    assert [(state.used, state.held) for state in counters.read(ALL, EPOCH)] == [(2, 0), (3, 0), (0, 0)]


def test_a_hold_that_is_repeated_takes_nothing():
    counters = MemoryCounters()
    counters.take((MONTH,), Hold("one", LEASE), EPOCH)

    repeated = counters.take((MONTH,), Hold("one", LEASE), EPOCH)

    assert (repeated.admitted, repeated.repeated, repeated.readings) == (False, True, (None,))
    assert counters.read((MONTH,), EPOCH)[0].used == 1


def test_a_settlement_corrects_the_calendar_window_that_the_call_began_in():
    counters = MemoryCounters()
    counters.take((replace(MONTH, amount=8),), Hold("one", LEASE), EPOCH)
    counters.settle("one", (replace(MONTH, amount=3),), EPOCH + 20 * SECOND)

    assert counters.read((MONTH,), EPOCH)[0].used == 3
    assert counters.read((MONTH,), EPOCH + 20 * SECOND)[0].used == 0


@pytest.mark.parametrize(("after", "used"), [(KEPT - 11 * SECOND, 3), (KEPT + 11 * SECOND, 8)], ids=["kept", "gone"])
def test_a_window_that_is_gone_is_not_corrected(after, used):
    counters = MemoryCounters()
    counters.take((replace(MONTH, amount=8),), Hold("one", LEASE), EPOCH)

    counters.settle("one", (replace(MONTH, amount=3),), EPOCH + after)

    assert counters.read((MONTH,), EPOCH)[0].used == used


def test_what_the_settlement_does_not_speak_of_stays_and_what_was_under_way_is_given_back():
    counters = MemoryCounters()
    counters.take(amounts(5, 5, 1), Hold("one", LEASE), EPOCH)

    counters.settle("one", (replace(MINUTE, amount=1),), EPOCH)

    assert [(state.used, state.held) for state in counters.read(ALL, EPOCH)] == [(1, 0), (5, 0), (0, 0)]


def test_calls_that_never_end_count_no_longer_after_their_lease():
    counters = MemoryCounters()
    for number in range(3):
        assert counters.take((AT_ONCE,), Hold(str(number), LEASE), EPOCH).admitted
    refused = counters.take((AT_ONCE,), Hold("4", LEASE), EPOCH)

    assert (refused.admitted, refused.readings[0].retry) == (False, SECOND)
    assert counters.take((AT_ONCE,), Hold("4", LEASE), EPOCH + 64 * SECOND).admitted


def test_a_hold_is_unsettled_when_its_lease_is_over_until_it_is_acknowledged():
    counters = MemoryCounters()
    counters.take(amounts(5, 6, 1), Hold("one", LEASE, "note"), EPOCH)
    assert counters.unsettled(9, EPOCH + LEASE - 1) == ()

    expected = Unsettled("one", "note", (Charged(MINUTE.key, 5), Charged(MONTH.key, 6)))
    assert counters.unsettled(9, EPOCH + LEASE) == counters.unsettled(9, EPOCH + LEASE) == (expected,)

    counters.settle("one", (), EPOCH + LEASE)
    assert counters.unsettled(9, EPOCH + LEASE) == ()
    state = counters.read((MONTH,), EPOCH)[0]
    assert (state.used, state.held) == (6, 0)


@pytest.mark.parametrize(("name", "note"), [("", ""), ("one", "a\nb")], ids=["no-id", "two-lines"])
def test_a_hold_has_an_id_and_a_note_of_one_line(name, note):
    with pytest.raises(ValueError, match="one line"):
        Hold(name, LEASE, note)


def test_what_counts_no_longer_is_forgotten():
    counters = MemoryCounters()
    counters.take(ALL, Hold("one", LEASE), EPOCH)
    counters.grant(MONTH, 5, EPOCH + 40 * 86400 * SECOND)

    counters.forget(EPOCH + 10 * SECOND)
    assert counters.read((MINUTE,), EPOCH + 10 * SECOND)[0].used == 1

    counters.forget(EPOCH + 100 * 86400 * SECOND)
    assert counters == MemoryCounters()
