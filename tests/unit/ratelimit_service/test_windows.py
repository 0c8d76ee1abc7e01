"""The window keeps its promise against an exact log, and says truly when it frees."""

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_service.windows import (
    EMPTY,
    MICROSECONDS,
    SUB_WINDOWS,
    Moves,
    Reading,
    Ring,
    Window,
    corrected,
    live,
    moves,
    reading,
    taken,
)

SECOND = MICROSECONDS
EPOCH = 1_700_000_000 * SECOND

windows = st.builds(
    Window,
    limit=st.integers(1, 12),
    period=st.sampled_from([1, 2, 7, 60, 3600]).map(lambda seconds: seconds * SECOND),
)
untimed = settings(deadline=None)  # a busy machine is no fault
# Fractions of a period between calls: many calls close together, some far apart.
gaps = st.lists(st.one_of(st.floats(0, 0.06), st.floats(0, 1.2)), min_size=1, max_size=60)


def times_of(window: Window, fractions: list[float]) -> list[int]:
    return [EPOCH + int(total * window.period) for total in accumulate(fractions)]


def step(window: Window, ring: Ring, now: int, hits: int = 1) -> tuple[bool, Ring, Reading]:
    """One take: whether it was admitted, the ring it left, and what it read before."""
    ring = live(window, ring, now)
    found = reading(window, ring, now, hits)
    return (False, ring, found) if found.retry else (True, taken(window, ring, now, hits), found)


@untimed
@given(windows, gaps)
def test_no_period_has_more_than_the_limit(window, fractions):
    log: list[int] = []
    ring: Ring = EMPTY
    for now in times_of(window, fractions):
        admitted, ring, _ = step(window, ring, now)
        if admitted:
            log.append(now)

    for end in log:
        assert sum(end - window.period < moment <= end for moment in log) <= window.limit


@untimed
@given(windows, gaps)
def test_a_refusal_is_never_early_by_more_than_one_sub_window(window, fractions):
    log: list[int] = []
    ring: Ring = EMPTY
    for now in times_of(window, fractions):
        admitted, ring, _ = step(window, ring, now)
        if admitted:
            log.append(now)
        else:
            reach = window.period + window.length
            assert sum(now - reach < moment <= now for moment in log) >= window.limit


@untimed
@given(windows, gaps, st.integers(1, 3))
def test_a_refused_call_passes_exactly_when_it_was_told(window, fractions, hits):
    ring: Ring = EMPTY
    for now in times_of(window, fractions):
        admitted, ring, found = step(window, ring, now, hits)
        if not admitted and hits <= window.limit:
            assert not step(window, ring, now + found.retry - 1, hits)[0]
            assert step(window, ring, now + found.retry, hits)[0]


@untimed
@given(windows, gaps)
def test_more_is_free_exactly_at_the_reset(window, fractions):
    ring: Ring = EMPTY
    for now in times_of(window, fractions):
        _, ring, _ = step(window, ring, now)
        found = reading(window, ring, now, 1)
        assert reading(window, live(window, ring, now + found.reset - 1), now, 1).count == found.count
        assert reading(window, live(window, ring, now + found.reset), now, 1).count < found.count


@untimed
@given(st.integers(1, 10**9), gaps)
def test_memory_does_not_grow_with_the_limit(limit, fractions):
    window = Window(limit, 60 * SECOND)
    ring: Ring = EMPTY
    for now in times_of(window, fractions):
        _, ring, _ = step(window, ring, now)

        assert len(ring) <= SUB_WINDOWS + 1


@untimed
@given(windows, st.integers(1, 10**6))
def test_a_clock_set_back_forgets_nothing_and_blocks_no_longer_than_a_period(window, seconds_back):
    ring: Ring = EMPTY
    for _ in range(window.limit):
        _, ring, _ = step(window, ring, EPOCH)
    back = EPOCH - seconds_back * SECOND

    admitted, ring, found = step(window, ring, back)

    assert not admitted
    assert 0 < found.retry <= window.period + window.length
    assert step(window, ring, back + found.retry)[0]


@pytest.mark.parametrize(
    ("ring", "hits", "expected"),
    [
        pytest.param({}, 1, Reading(count=0, reset=0, retry=0), id="empty"),
        pytest.param({100: 2}, 1, Reading(count=2, reset=SECOND, retry=0), id="one-left"),
        pytest.param({100: 3}, 1, Reading(count=3, reset=SECOND, retry=SECOND), id="full"),
        pytest.param({90: 1, 100: 2}, 1, Reading(count=3, reset=500_000, retry=500_000), id="oldest-leaves-first"),
        pytest.param({90: 1, 100: 2}, 2, Reading(count=3, reset=500_000, retry=SECOND), id="waits-for-two"),
        pytest.param({100: 9}, 1, Reading(count=9, reset=SECOND, retry=SECOND), id="limit-was-lowered"),
        pytest.param({}, 4, Reading(count=0, reset=0, retry=SECOND), id="more-than-the-limit-never-passes"),
    ],
)
def test_reading(ring, hits, expected):
    """Three a second, read in the last microsecond of sub-window 100 (50 ms each)."""
    now = 101 * 50_000 - 1

    assert reading(Window(3, SECOND), live(Window(3, SECOND), ring, now), now, hits) == expected


@pytest.mark.parametrize(
    ("place", "change", "moved", "expected"),
    [
        pytest.param(100, -2, Moves(), {90: 4, 95: 4, 100: 2}, id="down"),
        pytest.param(90, 3, Moves(), {90: 7, 95: 4, 100: 4}, id="up"),
        pytest.param(95, -4, Moves(), {90: 4, 100: 4}, id="to-nothing"),
        pytest.param(95, -9, Moves(), {90: 4, 100: 4}, id="never-below-nothing"),
        pytest.param(79, -4, Moves(), {90: 4, 95: 4, 100: 4}, id="has-left"),
        pytest.param(110, 3, Moves(), {90: 4, 95: 4, 100: 7}, id="up-ahead-of-the-clock"),
        pytest.param(95, -5, Moves(95, 92), {95: 4, 100: 4}, id="may-have-been-moved"),
        pytest.param(95, -9, Moves(95, 95), {100: 4}, id="oldest-first"),
        pytest.param(100, -2, Moves(95, 90), {90: 4, 95: 4, 100: 2}, id="younger-than-all-that-was-moved"),
    ],
)
def test_corrected(place, change, moved, expected):
    """Three a second, in the last microsecond of sub-window 100 (50 ms each)."""
    assert corrected(Window(3, SECOND), {90: 4, 95: 4, 100: 4}, 101 * 50_000 - 1, place, change, moved) == expected


def test_moves_are_remembered_until_they_have_left():
    window = Window(3, SECOND)

    moved = moves(window, {100: 1, 104: 1}, 101 * 50_000)
    assert moved == Moves(104, 101)
    assert moves(window, {102: 1}, 90 * 50_000, moved) == Moves(104, 90)
    assert moves(window, {}, 120 * 50_000, moved) == moved
    assert moves(window, {}, 126 * 50_000, moved) == Moves()
