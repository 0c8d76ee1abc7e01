"""The end of a stream puts right what its beginning held."""

from dataclasses import replace

import pytest

from ratelimit_service.applying import claim, with_model
from ratelimit_service.descriptors import Ask, End, read_call
from ratelimit_service.limiter import Admitted, decide
from ratelimit_service.policy import LimitPolicy
from ratelimit_service.settlement import Ending, give_back, settle
from tests.support.clock import StillClock
from tests.support.counters import MemoryCounters
from tests.support.limits import (
    CONSUMER,
    IP,
    MODEL,
    REPORT,
    SUBJECT,
    TOKENS,
    asked,
    call,
    concurrent,
    descriptor,
    done,
    limit,
    limit_set,
    metering,
    quota,
)

RULES = (
    limit(10_000, 60, SUBJECT, unit=TOKENS, name="minute"),
    limit(100, 60, SUBJECT, name="calls"),
    concurrent(1, SUBJECT, name="at-once"),
    quota("tokens", 50_000, CONSUMER, name="month"),
    quota("usd", 10**9, CONSUMER, name="money"),
)
POLICY = LimitPolicy().changed({"route/chat": limit_set(*RULES, metering=metering(10_000_000, 30_000_000))}, ())


@pytest.fixture
def counters():
    return MemoryCounters(StillClock())


async def begun(counters, hold="h1", policy=POLICY, **size):
    ask = read_call(call(*asked(hold, route="chat", **size)))
    assert isinstance(await decide(ask, policy, counters), Admitted)
    return ask


def ended(hold="h1", **size):
    end = read_call(call(*done(hold, route="chat", **size)))
    assert isinstance(end, End)
    return end


async def used(counters, ask, policy=POLICY):
    """What each rule has counted, by its id."""
    found = policy.of_route("chat").rules
    states = await counters.read([claim(rule, ask, 0) for rule in found])
    return {rule.id: state.used for rule, state in zip(found, states, strict=True)}


async def test_what_was_reported_is_charged_and_the_rest_given_back(counters):
    ask = await begun(counters, output=1000, received=400)
    held = {"minute": 1400, "calls": 1, "at-once": 1, "month": 1400, "money": 34_000_000}
    assert await used(counters, ask) == held

    settlement = await settle(ended(prompt=90, output=200, received=400, held=1000), POLICY, counters)

    assert settlement.ending is Ending.SETTLED
    charged = {"minute": 290, "calls": 1, "at-once": 0, "month": 290, "money": 6_900_000}
    assert await used(counters, ask) == charged


@pytest.mark.parametrize(
    ("end", "tokens", "ending"),
    [
        pytest.param({"sent": 400, "held": 1000}, 100 + 100, Ending.ESTIMATED, id="no-report"),
        pytest.param({"sent": 8000, "held": 1000}, 100 + 1000, Ending.ESTIMATED, id="never-more-than-was-held"),
        pytest.param({"sent": 0, "held": 1000}, 100, Ending.ESTIMATED, id="nothing-was-sent"),
        pytest.param({"attempts": 0, "held": 1000}, 0, Ending.SETTLED, id="no-upstream-was-asked"),
        pytest.param({"sent": 300, "status": 500, "held": 1000}, 0, Ending.SETTLED, id="an-error-costs-nothing"),
        pytest.param({"prompt": 90, "output": 5000, "held": 1000}, 5090, Ending.SETTLED, id="more-than-was-held"),
    ],
)
async def test_what_a_stream_comes_to(counters, end, tokens, ending):
    ask = await begun(counters, output=1000, received=400)

    settlement = await settle(ended(received=400, **end), POLICY, counters)

    assert settlement.ending is ending
    found = await used(counters, ask)
    assert (found["minute"], found["month"]) == (tokens, tokens)
    assert settlement.charges.beyond == max(0, tokens - 1400)


@pytest.mark.parametrize("dropped", ["received", "sent"])
async def test_more_bytes_than_envoy_can_tell_end_a_call_all_the_same(counters, dropped):
    """Envoy drops a number above 1,000,000,000: a download of a gigabyte must not hold its place for an hour."""
    ask = await begun(counters, output=1000, received=400)
    first, *others = done("h1", route="chat", received=400, held=1000)
    end = read_call(call(first, *(other for other in others if other.entries[0].value != dropped)))
    assert isinstance(end, End)

    assert (await settle(end, POLICY, counters)).ending is Ending.ESTIMATED
    assert (await used(counters, ask))["at-once"] == 0


async def test_an_end_that_tells_of_no_upstream_costs_nothing(counters):
    ask = await begun(counters, output=1000)
    end = read_call(call(*(item for item in done(route="chat") if item.entries[0].value != "attempts")))

    assert (await settle(end, POLICY, counters)).ending is Ending.SETTLED
    assert (await used(counters, ask))["month"] == 0


async def test_a_second_end_changes_nothing(counters):
    ask = await begun(counters, output=1000)
    await settle(ended(output=10), POLICY, counters)

    assert (await settle(ended(output=500), POLICY, counters)).ending is Ending.UNKNOWN
    assert (await used(counters, ask))["month"] == 10


@pytest.mark.parametrize(
    ("status", "ending"),
    [(0, Ending.NOT_HELD), (200, Ending.UNKNOWN), (399, Ending.UNKNOWN), (400, Ending.NOT_HELD)],
)
@pytest.mark.parametrize("policy", [POLICY, LimitPolicy()], ids=["known", "its-route-is-gone"])
async def test_the_end_of_a_call_that_held_nothing(counters, policy, status, ending):
    assert (await settle(ended(status=status), policy, counters)).ending is ending


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(limit(5, 60, SUBJECT), id="holds-nothing"),
        pytest.param(quota("usd", 10**9, CONSUMER), id="costs-nothing"),
        pytest.param(limit(50, 60, SUBJECT, unit=TOKENS, mode=REPORT), id="reported-and-did-not-fit"),
        pytest.param(concurrent(1, IP, mode=REPORT), id="reported-and-not-countable"),
    ],
)
async def test_no_riddle_where_a_served_call_held_nothing(counters, rule):
    policy = LimitPolicy().changed({"route/chat": limit_set(rule, metering=metering())}, ())
    await begun(counters, policy=policy)

    assert (await settle(ended(), policy, counters)).ending is Ending.NOT_HELD


async def test_a_call_whose_rules_went_while_it_ran_leaves_no_hold_open(counters):
    ask = await begun(counters)
    without = LimitPolicy().changed({"route/chat": limit_set(metering=metering())}, ())

    assert (await settle(ended(output=10), without, counters)).ending is Ending.SETTLED

    assert (await used(counters, ask))["at-once"] == 0
    assert counters.memory.holds == {}


async def test_a_store_that_is_away_is_told(counters):
    await begun(counters)

    settlement = await settle(ended(), POLICY, replace(counters, broken=True))

    assert (settlement.ending, settlement.reason) == (Ending.UNAVAILABLE, "broken by the test")


async def test_a_route_that_is_gone_gives_the_place_back_and_keeps_the_charge(counters):
    ask = await begun(counters, output=1000)

    await settle(ended(output=10), LimitPolicy(), counters)

    found = await used(counters, ask)
    assert (found["month"], found["money"], found["at-once"]) == (1000, 30_000_000, 0)


@pytest.mark.parametrize(("told", "charged"), [(True, 10), (False, 100)], ids=["with-address", "without"])
async def test_a_rule_per_address_is_put_right_where_the_end_says_the_address(counters, told, charged):
    rule = limit(500, 60, IP, unit=TOKENS)
    policy = LimitPolicy().changed({"route/chat": limit_set(rule, metering=metering())}, ())
    address = descriptor(("remote_address", "192.0.2.7"))
    first, *others = asked(route="chat")
    ask = read_call(call(first, address, *others))
    assert isinstance(ask, Ask)
    await decide(ask, policy, counters)

    first, *others = done(route="chat", output=10)
    await settle(read_call(call(first, *([address] if told else []), *others)), policy, counters)

    assert list((await used(counters, ask, policy)).values()) == [charged]


# Each is the dearer one for something.
TARGETS = [("llm:a:m", 10_000_000, 30_000_000), ("llm:b:m", 2_000_000, 60_000_000), ("llm:c:m", 0, 0)]
BY_TARGET = LimitPolicy().changed(
    {
        "route/chat": limit_set(
            quota("usd", 10**9, CONSUMER, name="money"), metering=metering(1, 1, TARGETS), model="llama3.1"
        )
    },
    (),
)


@pytest.mark.parametrize(
    ("cluster", "nano_dollars"),
    [
        pytest.param("llm:a:m", 90 * 10_000 + 200 * 30_000, id="the-first"),
        pytest.param("llm:b:m", 90 * 2_000 + 200 * 60_000, id="another"),
        pytest.param("llm:c:m", 0, id="one-that-costs-nothing"),
        pytest.param("gone-since", 90 * 10_000 + 200 * 30_000, id="unknown"),
        pytest.param(None, 90 * 10_000 + 200 * 30_000, id="not-told"),
    ],
)
async def test_a_call_is_held_at_the_dearest_and_charged_as_who_answered_costs(counters, cluster, nano_dollars):
    ask = await begun(counters, policy=BY_TARGET, output=1000, received=400)
    assert await used(counters, ask, BY_TARGET) == {"money": 400 * 10_000 + 1000 * 60_000}

    settlement = await settle(
        ended(prompt=90, output=200, received=400, held=1000, cluster=cluster), BY_TARGET, counters
    )

    assert settlement.ending is Ending.SETTLED
    assert await used(counters, ask, BY_TARGET) == {"money": nano_dollars}


async def test_a_model_is_charged_where_it_was_held(counters):
    model = limit_set(metering=metering(), model="llama3.1")
    plan = limit_set(limit(9_000, 60, SUBJECT, MODEL, unit=TOKENS, name="each"))
    policy = LimitPolicy().changed({"route/chat": model, "plan/free": plan}, ())
    ask = await begun(counters, policy=policy, output=100, plan="free")
    (rule,) = policy.of_plan("free").rules
    held = claim(rule, with_model(ask, policy.of_route("chat")), 0)
    assert [state.used for state in await counters.read([held])] == [100]

    await settle(ended(output=7, plan="free"), policy, counters)
    assert [state.used for state in await counters.read([held])] == [7]

    again = await begun(counters, hold="h2", policy=policy, output=100, plan="free")
    await give_back(again, policy, counters)
    assert [state.used for state in await counters.read([held])] == [7]
    assert counters.memory.holds == {}
