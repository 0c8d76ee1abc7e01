"""What calls are told while the store is away, by what each rule says; and what is made good when it is back."""

import pytest
from prometheus_client import CollectorRegistry

from ratelimit_service import failsafe
from ratelimit_service.claims import Claim, Failing, Hold, InFlight, Settled, Taken
from ratelimit_service.failsafe import Failsafe
from ratelimit_service.failures import FailureKind, Unanswered
from ratelimit_service.scripts import StoreUnavailable
from ratelimit_service.windows import MICROSECONDS, Window
from tests.support.clock import StillClock
from tests.support.counters import MemoryCounters

DENY, LOCAL, ALLOW = Failing
MINUTE = Window(2, 60 * MICROSECONDS)


class Late:
    """Keeps what is to be told later."""

    def __init__(self):
        self.waiting = []

    def add(self, hold, claims, *, seconds):
        self.waiting.append((hold, [claim.amount for claim in claims]))


class Bench:
    """A store that can be away, and counters that know what to say then."""

    def __init__(self):
        self.clock = StillClock()
        self.store = MemoryCounters(self.clock)
        self.late = Late()
        self.registry = CollectorRegistry()
        self.counters = Failsafe(self.store, late=self.late, registry=self.registry, clock=self.clock)

    async def takes(self, *claims, times=1, hold=None):
        return [(await self.counters.take(claims, hold)).admitted for _ in range(times)]

    def metric(self, answer):
        return self.registry.get_sample_value("tollgate_ratelimit_without_store_total", {"answer": answer})


@pytest.fixture
def bench():
    return Bench()


def claim(failing, key="a", **more):
    return Claim(key, "slot", **{"measure": MINUTE, "amount": 1, "failing": failing, **more})


async def test_with_the_store_nothing_is_counted_here(bench):
    assert await bench.takes(claim(LOCAL), times=4) == [True, True, False, False]

    assert bench.registry.get_sample_value("tollgate_ratelimit_local_counters") == 0


async def test_deny_lets_no_call_pass(bench):
    bench.store.broken = True

    with pytest.raises(StoreUnavailable):
        await bench.takes(claim(DENY))

    assert bench.metric("denied") == 1


async def test_local_counts_here_and_forgets_with_the_window(bench):
    bench.store.broken = True

    assert await bench.takes(claim(LOCAL), times=4) == [True, True, False, False]
    bench.clock.advance(70)
    assert await bench.takes(claim(LOCAL)) == [True]

    assert bench.metric("local") == 5


async def test_a_local_answer_says_how_the_counter_stands(bench):
    bench.store.broken = True
    await bench.takes(claim(LOCAL), times=2)

    taken = await bench.counters.take([claim(ALLOW, "b"), claim(LOCAL)])

    assert (taken.admitted, taken.degraded, taken.readings[0]) == (False, True, None)
    assert taken.readings[1].count == 2
    assert taken.readings[1].retry > 0


async def test_allow_lets_all_calls_pass_uncounted(bench):
    bench.store.broken = True

    taken = await bench.counters.take([claim(ALLOW)])

    assert (taken.admitted, taken.degraded, taken.readings) == (True, True, (None,))
    assert bench.metric("allowed") == 1


@pytest.mark.parametrize(
    ("claims", "answer"),
    [
        pytest.param([claim(ALLOW), claim(LOCAL, "b")], "local", id="local-before-allow"),
        pytest.param([claim(ALLOW, report=True), claim(ALLOW, "b")], "allowed", id="allow"),
        pytest.param([claim(DENY, report=True), claim(ALLOW, "b")], "allowed", id="report-refuses-nothing"),
        pytest.param([claim(DENY, report=True)], "allowed", id="report-alone"),
    ],
)
async def test_the_strictest_rule_speaks(bench, claims, answer):
    bench.store.broken = True

    assert await bench.takes(*claims) == [True]

    assert bench.metric(answer) == 1


async def test_one_rule_that_denies_is_enough(bench):
    bench.store.broken = True

    with pytest.raises(StoreUnavailable):
        await bench.takes(claim(ALLOW), claim(LOCAL, "b"), claim(DENY, "c"))

    assert await bench.takes(claim(LOCAL, "b"), times=3) == [True, True, False]


async def test_it_goes_on_with_the_store_as_soon_as_that_is_back(bench):
    bench.store.broken = True
    await bench.takes(claim(LOCAL), times=3)
    bench.store.broken = False

    taken = await bench.counters.take([claim(LOCAL)])

    assert (taken.admitted, taken.degraded, taken.readings[0].count) == (True, False, 1)


async def test_places_of_calls_under_way_are_given_back_here(bench):
    bench.store.broken = True
    concurrent = claim(LOCAL, measure=InFlight(1, 3600 * MICROSECONDS), held=True)

    first = await bench.takes(concurrent, hold=Hold("one", 3600 * MICROSECONDS))
    second = await bench.takes(concurrent, hold=Hold("two", 3600 * MICROSECONDS))
    settled = await bench.counters.settle("one", [concurrent])
    third = await bench.takes(concurrent, hold=Hold("three", 3600 * MICROSECONDS))

    assert (first, second, third) == ([True], [False], [True])
    assert settled == Settled(known=True)


async def test_a_settlement_is_told_later(bench):
    held = claim(ALLOW, held=True)
    await bench.takes(held, hold=Hold("one", MICROSECONDS))
    bench.store.broken = True

    settled = await bench.counters.settle("one", [held])

    assert settled == Settled(known=True)
    assert bench.late.waiting == [("one", [1])]


async def test_the_end_of_a_call_that_passed_without_the_store_is_no_riddle(bench):
    bench.store.broken = True
    await bench.takes(claim(ALLOW, held=True), hold=Hold("one", MICROSECONDS))
    bench.store.broken = False

    assert await bench.counters.settle("one", [claim(ALLOW, held=True)]) == Settled(known=True)
    assert await bench.counters.settle("one", [claim(ALLOW, held=True)]) == Settled(known=False)


async def test_what_a_lost_answer_may_have_taken_is_given_back(bench):
    bench.store.broken = True
    with pytest.raises(StoreUnavailable):
        await bench.takes(claim(DENY, held=True, amount=500), hold=Hold("one", MICROSECONDS))

    assert bench.late.waiting == [("one", [0])]


async def test_a_store_that_was_not_asked_took_nothing(bench):
    bench.counters = Failsafe(Resting(), late=bench.late, registry=CollectorRegistry(), clock=bench.clock)

    with pytest.raises(StoreUnavailable):
        await bench.takes(claim(DENY, held=True), hold=Hold("one", MICROSECONDS))

    assert bench.late.waiting == []


class Resting:
    async def take(self, claims, hold=None):
        raise Unanswered(FailureKind.RESTING, "not asked")

    async def settle(self, hold, claims):
        raise Unanswered(FailureKind.RESTING, "not asked")


async def test_counters_here_are_bounded_and_those_that_are_there_go_on(bench, monkeypatch):
    monkeypatch.setattr(failsafe, "MOST_COUNTERS", 2)
    bench.store.broken = True
    await bench.takes(claim(LOCAL))
    await bench.takes(claim(LOCAL, "b"))

    with pytest.raises(StoreUnavailable):
        await bench.takes(claim(LOCAL, "c"))

    assert await bench.takes(claim(LOCAL)) == [True]
    bench.clock.advance(70)
    assert await bench.takes(claim(LOCAL, "c")) == [True]


async def test_the_end_of_a_call_that_was_refused_without_the_store_is_told_nobody(bench):
    """Calls that are refused while the store is away would push those out that it must hear of."""
    bench.store.broken = True
    with pytest.raises(StoreUnavailable):
        await bench.takes(claim(DENY, held=True), hold=Hold("lost", MICROSECONDS))
    bench.late.waiting.clear()  # what may have been taken is given back
    bench.counters = Failsafe(Resting(), late=bench.late, registry=CollectorRegistry(), clock=bench.clock)
    with pytest.raises(StoreUnavailable):
        await bench.takes(claim(DENY, held=True), hold=Hold("refused", MICROSECONDS))

    ends = [await bench.counters.settle(name, [claim(DENY, held=True)]) for name in ("refused", "other")]

    assert ends == [Settled(known=False), Settled(known=True)]
    assert [hold for hold, _ in bench.late.waiting] == ["other"]


async def test_the_end_of_a_call_that_passed_without_asking_the_store_is_told_nobody(bench):
    bench.counters = Failsafe(Resting(), late=bench.late, registry=CollectorRegistry(), clock=bench.clock)
    await bench.takes(claim(ALLOW, held=True), hold=Hold("passed", MICROSECONDS))

    assert await bench.counters.settle("passed", [claim(ALLOW, held=True)]) == Settled(known=True)
    assert bench.late.waiting == []


async def test_the_end_of_a_call_that_could_hold_nothing_does_not_wait_for_the_store(bench):
    bench.store.broken = True

    assert await bench.counters.settle("one", []) == Settled(known=False)
    assert bench.late.waiting == []


async def test_what_a_refusal_could_not_give_back_is_given_back_later(bench):
    """Slot by slot: a server was gone when what it had taken was to be given back."""

    class HalfAway:
        async def take(self, claims, hold=None):
            return Taken(admitted=False, readings=(None,), degraded=True)

    bench.counters = Failsafe(HalfAway(), late=bench.late, registry=CollectorRegistry(), clock=bench.clock)

    assert await bench.takes(claim(DENY, held=True, amount=500), hold=Hold("one", MICROSECONDS)) == [False]
    assert await bench.takes(claim(DENY)) == [False]
    assert bench.late.waiting == [("one", [0])]
