"""What is known to be over is not asked again for a moment, and nothing else is refused by it."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from ratelimit_service import remembered
from ratelimit_service.claims import Calendar, CalendarUnit, Claim, Hold, InFlight
from ratelimit_service.remembered import LONGEST, Remembered
from ratelimit_service.windows import MICROSECONDS, Window
from tests.support.clock import StillClock
from tests.support.counters import MemoryCounters

MINUTE = Window(1, 60 * MICROSECONDS)
CLAIM = Claim("a", "slot", MINUTE, 1)


class Asked:
    """Counters that keep what they are asked."""

    def __init__(self, counters):
        self.counters = counters
        self.times = 0

    async def take(self, claims, hold=None):
        self.times += 1
        return await self.counters.take(claims, hold)


class Bench:
    def __init__(self):
        self.clock = StillClock()
        self.memory = MemoryCounters(self.clock)
        self.asked = Asked(self.memory)
        self.registry = CollectorRegistry()
        self.counters = Remembered(self.asked, registry=self.registry, clock=self.clock)

    async def over(self, *claims):
        """Uses them up, and is refused once."""
        while (await self.counters.take(claims)).admitted:
            pass
        self.asked.times = 0


@pytest.fixture
def bench():
    return Bench()


async def test_it_refuses_as_the_store_does_and_does_not_ask(bench):
    await bench.over(CLAIM)
    bench.clock.advance(0.5)

    refused = await bench.counters.take([CLAIM])

    assert bench.asked.times == 0
    assert refused == await bench.memory.take([CLAIM])
    assert bench.registry.get_sample_value("tollgate_ratelimit_remembered_total") == 1


async def test_for_a_second_at_most(bench):
    await bench.over(CLAIM)
    bench.clock.advance(LONGEST)

    await bench.counters.take([CLAIM])

    assert bench.asked.times == 1


async def test_and_not_longer_than_until_it_is_free(bench):
    second = replace(CLAIM, measure=Window(1, MICROSECONDS // 2))
    await bench.over(second)
    bench.clock.advance(0.6)

    assert (await bench.counters.take([second])).admitted


async def test_with_others_what_was_read_beside_it_is_said_again(bench):
    wide = Claim("wide", "slot", Window(9, 60 * MICROSECONDS), 1)
    await bench.over(wide, CLAIM)

    same = await bench.counters.take([wide, CLAIM])
    other = await bench.counters.take([Claim("other", "slot", MINUTE, 1), CLAIM])

    assert bench.asked.times == 0
    assert same.readings[0].count == 1
    assert (other.admitted, other.readings[0]) == (False, None)


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(replace(CLAIM, held=True), id="with-open-holds"),
        pytest.param(replace(CLAIM, measure=InFlight(1, 60 * MICROSECONDS), held=True), id="calls-under-way"),
    ],
)
async def test_what_the_end_of_a_call_may_free_is_asked_each_time(bench, claim):
    for name in ("one", "two"):
        await bench.counters.take([claim], Hold(name, MICROSECONDS))

    await bench.counters.take([claim], Hold("three", MICROSECONDS))

    assert bench.asked.times == 3


async def test_a_rule_that_reports_is_never_remembered(bench):
    reports = replace(CLAIM, report=True)
    for _ in range(3):
        assert (await bench.counters.take([reports])).admitted

    assert bench.asked.times == 3


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(CLAIM, measure=Window(5, 60 * MICROSECONDS)), id="a-limit-that-was-raised"),
        pytest.param(replace(CLAIM, report=True), id="a-rule-that-only-reports-now"),
        pytest.param(replace(CLAIM, key="b"), id="another-counter"),
    ],
)
async def test_another_rule_is_asked(bench, other):
    await bench.over(CLAIM)

    assert (await bench.counters.take([other])).admitted


async def test_less_may_still_fit(bench):
    dear = Claim("a", "slot", Window(5, 60 * MICROSECONDS), 3)
    await bench.over(dear)

    assert (await bench.counters.take([replace(dear, amount=2)])).admitted


async def test_a_grant_is_felt_at_once(bench):
    quota = replace(CLAIM, measure=Calendar(1, CalendarUnit.MONTH))
    await bench.over(quota)
    await bench.memory.grant(quota, 1)
    bench.counters.forget("a")

    assert (await bench.counters.take([quota])).admitted


async def test_what_was_refused_without_the_store_is_not_remembered(bench):
    await bench.over(CLAIM)
    bench.counters.forget("a")

    class Degraded:
        async def take(self, claims, hold=None):
            bench.asked.times += 1
            return replace(await bench.memory.take(claims, hold), degraded=True)

    counters = Remembered(Degraded(), registry=CollectorRegistry(), clock=bench.clock)
    await counters.take([CLAIM])
    await counters.take([CLAIM])

    assert bench.asked.times == 2


async def test_its_memory_is_bounded_and_the_oldest_goes(bench, monkeypatch):
    monkeypatch.setattr(remembered, "MOST", 5)
    claims = [replace(CLAIM, key=f"k{number}") for number in range(6)]
    for claim in claims:
        await bench.over(claim)

    for claim in claims[1:]:
        await bench.counters.take([claim])
    assert bench.asked.times == 0

    await bench.counters.take(claims[:1])
    assert bench.asked.times == 1


async def test_of_others_only_what_the_same_claim_was_told_is_said_again(bench):
    """A large call did not fit into the tokens of a month; a small one is refused for its minute, not for the month."""
    month = Claim("month", "slot", Calendar(10, CalendarUnit.MONTH), 11, held=True)
    await bench.counters.take([CLAIM])
    await bench.over(month, CLAIM)

    small = await bench.counters.take([replace(month, amount=1), CLAIM])
    large = await bench.counters.take([month, CLAIM])

    assert bench.asked.times == 0
    assert small.readings[0] is None
    assert large.readings[0].retry > small.readings[1].retry > 0


async def test_another_amount_of_a_counter_beside_it_is_not_known(bench):
    wide = Claim("wide", "slot", Window(9, 60 * MICROSECONDS), 10)
    await bench.counters.take([CLAIM])
    await bench.over(wide, CLAIM)

    assert (await bench.counters.take([replace(wide, amount=1), CLAIM])).readings[0] is None


async def test_a_grant_is_felt_where_another_counter_refuses(bench):
    quota = Claim("quota", "slot", Calendar(1, CalendarUnit.MONTH), 1)
    await bench.over(quota, CLAIM)
    await bench.memory.grant(quota, 1)
    bench.counters.forget("quota")

    refused = await bench.counters.take([quota, CLAIM])

    assert (refused.admitted, refused.readings[0].retry) == (False, 0)
