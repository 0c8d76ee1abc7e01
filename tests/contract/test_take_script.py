"""The scripts inside the store and the arithmetic in Python decide alike, whatever the sequence of calls."""

from dataclasses import dataclass, replace

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_service import steps
from ratelimit_service.claims import Calendar, CalendarUnit, Claim, Hold, InFlight, Settled
from ratelimit_service.keys import counter_key
from ratelimit_service.memory import MemoryCounters
from ratelimit_service.windows import MICROSECONDS, Window
from tests.support.scripts import ScriptsAt
from tests.support.valkey import store_binaries, valkey_server

BINARIES = store_binaries()
SECOND = MICROSECONDS
# The last seconds of a day, a week, a month and a year.
EPOCH = 1_704_067_190 * SECOND
DAY = 86400 * SECOND
MEASURES = (
    # neighbours in one call have different periods; nothing expires while a test runs
    Window(6, 20 * SECOND),
    Window(9, 30 * SECOND),
    Calendar(7, CalendarUnit.DAY),
    Calendar(20, CalendarUnit.MONTH),
    InFlight(5, 40 * SECOND),
)
CLAIMS = tuple(Claim(counter_key(["t"], [f"{measure}"]), "t", measure, 1) for measure in MEASURES)
HOLDS = ("one", "two", "three")


@dataclass(frozen=True)
class Take:
    claims: tuple[Claim, ...]
    hold: Hold | None


@dataclass(frozen=True)
class Settle:
    hold: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Grant:
    claim: Claim
    amount: int


@dataclass(frozen=True)
class Reset:
    claim: Claim


@dataclass(frozen=True)
class Look:
    limit: int


claimed = st.builds(
    replace,
    st.sampled_from(CLAIMS),
    amount=st.integers(0, 3),
    report=st.sampled_from([False, False, True]),
    held=st.sampled_from([True, True, False]),
)
claim_lists = st.lists(claimed, min_size=1, max_size=4, unique_by=lambda claim: claim.key).map(tuple)
holds = st.builds(Hold, st.sampled_from(HOLDS), st.sampled_from([SECOND, 30 * SECOND]), st.sampled_from(["", "a b 1"]))
calendars = st.sampled_from([claim for claim in CLAIMS if isinstance(claim.measure, Calendar)])
takes = st.builds(Take, claim_lists, holds | st.none())
settlements = st.builds(Settle, st.sampled_from(HOLDS), st.just(()) | claim_lists)
others = st.one_of(
    st.builds(Grant, calendars, st.integers(0, 5)), st.builds(Reset, calendars), st.builds(Look, st.integers(1, 3))
)
deeds = st.sampled_from([takes, takes, takes, settlements, settlements, others]).flatmap(lambda kind: kind)
# Microseconds between deeds: the edges of sub-windows and of periods (500 ms divides most), what lies between, another
# day, and a clock set back.
edges = st.builds(lambda count, offset: 500_000 * count + offset, st.integers(0, 70), st.integers(-1, 1))
moves = st.sampled_from(
    [st.integers(0, 3 * SECOND)] * 4 + [edges, st.integers(0, 35 * SECOND), st.integers(-40 * SECOND, 0), st.just(DAY)]
).flatmap(lambda kind: kind)
sequences = st.lists(st.tuples(moves, deeds), min_size=25, max_size=50)


@pytest.fixture(scope="module", params=sorted(BINARIES))
def server(request, tmp_path_factory):
    with valkey_server(tmp_path_factory.mktemp("store"), BINARIES[request.param]) as running:
        yield running


@pytest.fixture(scope="module", params=["listpack", "hashtable"])
def client(request, server):
    """A store that keeps the fields of a hash in the order of their writing, or in none."""
    with redis.Redis(unix_socket_path=server.address.removeprefix("unix:")) as opened:
        opened.config_set("hash-max-listpack-entries", 512 if request.param == "listpack" else 0)
        yield opened


class Pair:
    """The store and the model, which are asked the same."""

    def __init__(self, client):
        self.scripts = ScriptsAt(client)
        self.model = MemoryCounters()

    def do(self, deed, now):
        """The answers of both."""
        match deed:
            case Take(claims, hold):
                reply = self.scripts.run(
                    steps.take(claims, now, hold and steps.Record(hold, steps.hold_keys(hold.id))), now
                )
                return steps.taken(reply, len(claims)), self.model.take(claims, hold, now)
            case Settle(hold, claims):
                reply = self.scripts.run(steps.settle(hold, steps.hold_keys(hold), claims), now)
                return Settled(reply[0] == steps.DONE), self.model.settle(hold, claims, now)
            case Grant(claim, amount):
                reply = self.scripts.run(steps.states([claim], now, grant=amount), now)
                return steps.read_states(reply, [claim])[0], self.model.grant(claim, amount, now)
            case Reset(claim):
                reply = self.scripts.run(steps.states([claim], now, forget=True), now)
                return steps.read_states(reply, [claim])[0], self.model.reset(claim, now)
            case Look(limit):
                ids = self.scripts.run(steps.overdue(0, limit), now)[2:]
                told = self.model.unsettled(limit, now)
                return [name.decode() for name in ids], [one.id for one in told]

    def states(self, now):
        reply = self.scripts.run(steps.states(CLAIMS, now), now)
        return steps.read_states(reply, CLAIMS), self.model.read(CLAIMS, now)


@given(sequences)
@settings(max_examples=30, deadline=None)
def test_scripts_and_arithmetic_agree(client, sequence):
    client.flushall()
    pair = Pair(client)
    now = EPOCH
    for move, deed in sequence:
        now = min(now + move, EPOCH + 5 * DAY)  # what is kept for a week is another test's

        stored, modelled = pair.do(deed, now)
        assert stored == modelled

        stored, modelled = pair.states(now)
        assert stored == modelled
        assert all(state.used >= state.held >= 0 for state in stored)

    assert all(client.pttl(key) > 0 for key in client.scan_iter())


@pytest.mark.parametrize(("days", "used", "told"), [(37, 1, ["one"]), (39, 3, [])], ids=["a-week-after", "later"])
def test_a_month_is_corrected_and_a_hold_is_told_for_a_week(client, days, used, told):
    """January has 31 days; the lease of the hold is as long."""
    client.flushall()
    pair = Pair(client)
    month = replace(CLAIMS[3], amount=3, held=True)
    begun = EPOCH + 10 * SECOND
    pair.do(Take((month,), Hold("one", 31 * DAY)), begun)

    assert pair.do(Look(1), begun + days * DAY)[0] == told
    stored, modelled = pair.do(Settle("one", (replace(month, amount=1),)), begun + days * DAY)
    assert stored == modelled
    stored, modelled = pair.states(begun)
    assert stored == modelled
    assert stored[3].used == used


@pytest.mark.parametrize("offset", [0, 1, 49_999], ids=["first", "second", "last"])
def test_a_full_counter_is_free_to_the_microsecond(client, offset):
    """The call lies in the first, second or last microsecond of its sub-window."""
    client.flushall()
    pair = Pair(client)
    full = Claim("tg:{t}:full", "t", Window(1, SECOND), 1)

    def take_at(now):
        return pair.do(Take((full,), None), now)[0]

    assert take_at(EPOCH + offset).admitted
    free = EPOCH + 50_000 + SECOND - 1
    assert take_at(EPOCH + offset).readings[0].retry == free - (EPOCH + offset)
    assert not take_at(free - 1).admitted
    assert take_at(free).readings[0].count == 1


def at(seconds):
    return EPOCH + int(seconds * SECOND)


# Half a second each: sub-windows of ten seconds.
TEN = Claim("tg:{t}:ten", "t", Window(9, 10 * SECOND), 2, held=True)
ONE = Hold("one", 30 * SECOND)
TWO = Hold("two", 30 * SECOND)
GIVEN_BACK = Settle("one", (replace(TEN, amount=0),))


@pytest.mark.parametrize(
    ("story", "counted"),
    [
        pytest.param([(0, Take((TEN,), ONE)), (9, GIVEN_BACK)], 0, id="less"),
        pytest.param([(0, Take((TEN,), ONE)), (9, Settle("one", (replace(TEN, amount=30),)))], 30, id="more"),
        pytest.param([(0, Take((TEN,), ONE)), (11, Settle("one", (replace(TEN, amount=30),)))], 0, id="has-left"),
        pytest.param(
            [(0, Take((TEN,), ONE)), (6, Take((TEN,), TWO)), (6, GIVEN_BACK), (12, Look(1))],
            2,
            id="the-other-stays-as-long-as-it-would",
        ),
        pytest.param(
            [(4, Take((TEN,), None)), (8, Take((TEN,), ONE)), (2, Look(1)), (2, GIVEN_BACK)],
            2,
            id="clock-set-back",
        ),
        pytest.param(
            # counted at 5 since the clock was set back, and not given back from the call of 9
            [(20, Take((TEN,), ONE)), (5, Take((TEN,), None)), (9, Take((TEN,), None)), (9, GIVEN_BACK), (16, Look(1))],
            2,
            id="what-was-moved-is-given-back-where-it-went",
        ),
        pytest.param(
            # what went to 5 has left, and is not given back from the call of 16
            [(20, Take((TEN,), ONE)), (5, Take((TEN,), None)), (16, Take((TEN,), None)), (16, GIVEN_BACK)],
            2,
            id="what-was-moved-has-left-where-it-went",
        ),
        pytest.param(
            # went from 20 to 14; that something went from 18 to 15 is no reason to look for it at 20
            [
                (20, Take((TEN,), ONE)),
                (14, Take((replace(TEN, amount=1),), None)),
                (18, Take((TEN,), TWO)),
                (15, Take((replace(TEN, amount=0),), None)),
                (20, Take((TEN,), None)),
                (20, GIVEN_BACK),
                (24.6, Look(1)),
            ],
            4,
            id="set-back-twice",
        ),
    ],
)
def test_a_settlement_corrects_the_place_of_the_call(client, story, counted):
    client.flushall()
    pair = Pair(client)
    for seconds, deed in story:
        stored, modelled = pair.do(deed, at(seconds))
        assert stored == modelled

    last = at(story[-1][0])
    reply = pair.scripts.run(steps.states([TEN], last), last)
    assert steps.read_states(reply, [TEN]) == pair.model.read([TEN], last)
    assert steps.read_states(reply, [TEN])[0].used == counted
