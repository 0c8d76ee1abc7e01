"""Keys come and go so that whoever verifies has each before it signs, and until its last token is dead."""

from itertools import count

import pytest

from control_plane.keys.signing.ring import ANNOUNCED, OUTLIVED, SIGNS_FOR, replaced, turned
from service_kit.gateway_tokens import LEEWAY, LONGEST_LIFETIME, signing, signing_key

START = 1_700_000_000
# Seconds for which a published set may be kept.
STALE = 300


class Maker:
    """Makes another key each time."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def __call__(self, signs_from: int):
        return signing_key(next(self._numbers).to_bytes(32), signs_from)


def test_the_first_key_signs_at_once():
    (first,) = turned((), START + 0.5, Maker())

    assert first.signs_from == START


def test_while_nothing_is_due_the_ring_stays_as_it_is():
    make = Maker()
    ring = turned((), START, make)

    assert turned(ring, START + SIGNS_FOR - ANNOUNCED - 1, make) == ring


@pytest.mark.parametrize("step", [60, 599, 3_599, 30_000, 200_000])
def test_every_token_is_verified_while_it_lives_also_by_whoever_fetched_the_keys_a_while_ago(step):
    """`step` is how often the control plane looks; between its looks, and while it is away, the last ring stands."""
    make, ring, history = Maker(), (), {}
    for look in range(START, START + max(3 * SIGNS_FOR, 8 * step), step):
        ring = turned(ring, look, make)
        history[look] = ring

    def at(now: int):
        return history[min(max(now - (now - START) % step, START), max(history))]

    for look in history:
        for now in (look, look + step // 2, look + step - 1):
            signer = signing(at(now), now)
            assert signer in at(now - STALE)
            assert signer in at(now + LONGEST_LIFETIME + LEEWAY)
    assert max(map(len, history.values())) <= 3


def test_a_key_leaves_when_its_last_token_is_dead():
    make = Maker()
    first = turned((), START, make)
    second = turned(first, START + SIGNS_FOR - ANNOUNCED, make)
    change = second[1].signs_from

    assert change == START + SIGNS_FOR
    assert turned(second, change + OUTLIVED - 1, make) == second
    assert turned(second, change + OUTLIVED, make) == second[1:]


def test_after_a_long_absence_a_key_is_announced_all_the_same():
    make = Maker()
    ring = turned((), START, make)
    late = START + 10 * SIGNS_FOR
    after = turned(ring, late, make)

    assert after[0] == ring[0]
    assert after[1].signs_from == late + ANNOUNCED
    assert turned(after, late + 1, make) == after


def test_a_clock_that_was_set_back_makes_no_keys():
    make = Maker()
    ring = turned((), START, make)

    assert turned(ring, START - SIGNS_FOR, make) == ring


def test_replacing_leaves_no_old_key():
    make = Maker()
    ring = turned((), START, make)
    (fresh,) = replaced(START + 5, make)

    assert fresh not in ring
    assert fresh.signs_from == START + 5
