"""Decisions without transport: which rules apply, what counts together, what is never a yes."""

from dataclasses import replace

import pytest

from ratelimit_service.descriptors import Ask
from ratelimit_service.limiter import Admitted, Refused, Unavailable, Unidentified, Unknown, decide
from ratelimit_service.policy import Dimension, LimitPolicy
from tests.support.clock import StillClock
from tests.support.counters import MemoryCounters
from tests.support.limits import CONSUMER, IP, ROUTE, SUBJECT, TENANT, limit, limit_set

ALICE = Ask("email", "alice", "acme", "mailer", None, ip="192.0.2.7")


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture
def counters(clock):
    return MemoryCounters(clock)


def policy(**sets):
    """Sets by name, with `route_email` for `route/email`."""
    named = {name.replace("_", "/"): limit_set(*limits) for name, limits in sets.items()}
    return LimitPolicy().changed(named, ())


async def admitted(ask, limits, counters, times=1):
    """How many of so many calls pass."""
    decisions = [await decide(ask, limits, counters) for _ in range(times)]
    return sum(isinstance(decision, Admitted) for decision in decisions)


async def test_the_limit_is_admitted_and_no_more(counters):
    assert await admitted(ALICE, policy(route_email=[limit(3, 60, SUBJECT)]), counters, times=5) == 3


@pytest.mark.parametrize(
    ("per", "other", "apart"),
    [
        pytest.param([SUBJECT], {"subject": "bob"}, True, id="another-subject"),
        pytest.param([SUBJECT], {"tenant": "globex"}, True, id="same-subject-of-another-tenant"),
        pytest.param([SUBJECT], {"consumer": "other", "ip": "192.0.2.8"}, False, id="subject-alone"),
        pytest.param([TENANT], {"tenant": "globex"}, True, id="another-tenant"),
        pytest.param([TENANT], {"subject": "bob", "consumer": "other"}, False, id="same-tenant"),
        pytest.param([CONSUMER], {"consumer": "other"}, True, id="another-consumer"),
        pytest.param([IP], {"ip": "192.0.2.8"}, True, id="another-address"),
        pytest.param([IP], {"tenant": "globex", "subject": "bob"}, False, id="an-address-is-one-for-all-tenants"),
        pytest.param([ROUTE], {"tenant": "globex", "ip": "::1"}, False, id="a-route-is-one-for-all-tenants"),
        pytest.param([SUBJECT, IP], {"ip": "192.0.2.8"}, True, id="both-must-agree"),
        pytest.param([SUBJECT, IP], {"subject": "bob"}, True, id="both-must-agree-too"),
    ],
)
async def test_what_counts_together(counters, per, other, apart):
    limits = policy(route_email=[limit(1, 60, *per)])
    await decide(ALICE, limits, counters)

    assert await admitted(replace(ALICE, **other), limits, counters) == apart


@pytest.mark.parametrize(
    ("per", "across"), [pytest.param([SUBJECT], 0, id="plan"), pytest.param([SUBJECT, ROUTE], 1, id="plan-per-route")]
)
async def test_a_plan_counts_across_routes_unless_it_names_the_route(counters, per, across):
    limits = policy(route_email=[], route_rag=[], plan_free=[limit(1, 60, *per)])
    ask = replace(ALICE, plan="free")
    await decide(ask, limits, counters)

    assert await admitted(replace(ask, route="rag"), limits, counters) == across


async def test_equal_rules_of_two_sets_count_apart(counters):
    limits = policy(route_email=[limit(1, 60, SUBJECT)], route_rag=[limit(1, 60, SUBJECT)])
    await decide(ALICE, limits, counters)

    assert await admitted(replace(ALICE, route="rag"), limits, counters) == 1


async def test_a_changed_period_starts_its_own_count(counters):
    await decide(ALICE, policy(route_email=[limit(1, 60, SUBJECT, name="r")]), counters)

    assert await admitted(ALICE, policy(route_email=[limit(1, 3600, SUBJECT, name="r")]), counters) == 1


async def test_a_raised_limit_keeps_the_count(counters):
    await decide(ALICE, policy(route_email=[limit(1, 60, SUBJECT, name="r")]), counters)

    assert await admitted(ALICE, policy(route_email=[limit(3, 60, SUBJECT, name="r")]), counters, times=5) == 2


async def test_a_refused_call_takes_nothing(counters):
    tight = policy(route_email=[limit(1, 60, SUBJECT, name="tight"), limit(5, 60, TENANT, name="wide")])
    await admitted(ALICE, tight, counters, times=4)

    assert await admitted(replace(ALICE, subject="bob"), tight, counters) == 1
    decision = await decide(replace(ALICE, subject="carol"), tight, counters)
    assert decision.tightest.remaining == 0
    assert await admitted(ALICE, policy(route_email=[limit(5, 60, TENANT, name="wide")]), counters, times=9) == 2


async def test_the_tightest_rule_is_shown(counters):
    limits = policy(route_email=[limit(9, 60, SUBJECT, name="nine"), limit(4, 60, IP, name="four")])

    decision = await decide(ALICE, limits, counters)

    assert isinstance(decision, Admitted)
    assert (decision.tightest.rule.id, decision.tightest.remaining) == ("four", 3)


async def test_of_several_refusals_the_longest_speaks(counters, clock):
    limits = policy(route_email=[limit(1, 60, SUBJECT, name="minute"), limit(1, 3600, SUBJECT, name="hour")])
    await decide(ALICE, limits, counters)
    clock.advance(3)

    decision = await decide(ALICE, limits, counters)

    assert isinstance(decision, Refused)
    assert decision.longest.rule.id == "hour"
    assert 3597 <= decision.longest.retry_seconds <= 3600 + 180
    assert decision.longest.retry_seconds >= decision.tightest.reset_seconds


async def test_after_the_retry_time_the_call_passes(counters, clock):
    limits = policy(route_email=[limit(2, 1, SUBJECT)])
    await admitted(ALICE, limits, counters, times=2)
    refusal = await decide(ALICE, limits, counters)
    clock.advance(refusal.longest.retry_seconds)

    assert await admitted(ALICE, limits, counters) == 1


async def test_no_rule_asks_no_store(clock):
    decision = await decide(ALICE, policy(route_email=[]), MemoryCounters(clock, broken=True))

    assert decision == Admitted(None)


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        pytest.param(replace(ALICE, route="rag"), Unknown("route", "rag"), id="route"),
        pytest.param(replace(ALICE, plan="gold"), Unknown("plan", "gold"), id="plan"),
    ],
)
async def test_what_is_not_in_the_policy_is_unknown(counters, ask, expected):
    assert await decide(ask, policy(route_email=[]), counters) == expected


@pytest.mark.parametrize(
    ("per", "part"),
    [
        pytest.param(SUBJECT, "subject", id="subject"),
        pytest.param(TENANT, "tenant", id="tenant"),
        pytest.param(CONSUMER, "consumer", id="consumer"),
        pytest.param(IP, "ip", id="ip"),
    ],
)
async def test_a_missing_part_is_not_counted_as_one_caller(counters, per, part):
    limits = policy(route_email=[limit(9, 60, ROUTE), limit(9, 60, per)])

    decision = await decide(replace(ALICE, **{part: None}), limits, counters)

    assert isinstance(decision, Unidentified)
    assert decision.dimension is Dimension(part)
    assert not counters.rings


async def test_a_missing_part_that_no_rule_needs_is_no_matter(counters):
    nobody = Ask("email", None, None, None, None, ip="192.0.2.7")

    assert await admitted(nobody, policy(route_email=[limit(1, 60, IP)]), counters, times=2) == 1


async def test_a_broken_store_is_unavailable(clock):
    broken = MemoryCounters(clock, broken=True)

    assert await decide(ALICE, policy(route_email=[limit(1, 60, IP)]), broken) == Unavailable("broken by the test")
