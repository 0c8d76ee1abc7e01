"""Decisions without transport: which rules apply, what counts together, what is never a yes."""

import json
from dataclasses import replace

import pytest

from ratelimit_service.applying import Unknown, claim
from ratelimit_service.cost import Missing
from ratelimit_service.descriptors import Ask, read_call
from ratelimit_service.limiter import (
    Admitted,
    Refused,
    Repeated,
    TooDear,
    Unavailable,
    Unheld,
    Unidentified,
    decide,
)
from ratelimit_service.policy import Dimension, LimitPolicy
from tests.support.clock import StillClock
from tests.support.counters import MemoryCounters
from tests.support.limits import (
    CONSUMER,
    DAY,
    IP,
    MODEL,
    PLAN,
    REPORT,
    ROUTE,
    SUBJECT,
    TENANT,
    TOKENS,
    asked,
    call,
    concurrent,
    limit,
    limit_set,
    metering,
    quota,
)
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

ALICE = Ask("email", "alice", "acme", "mailer", None, ip="192.0.2.7")


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture
def counters(clock):
    return MemoryCounters(clock)


def policy(**sets):
    """Sets by name, with `route_email` for `route/email`: rules, or a whole set."""
    named = {name.replace("_", "/"): found if isinstance(found, bytes) else limit_set(*found)
             for name, found in sets.items()}  # fmt: skip
    return LimitPolicy().changed(named, ())


def metered(*rules, **fields):
    """A route whose tokens cost a thousandth of a cent to read and three to write."""
    return limit_set(*rules, metering=metering(10_000_000, 30_000_000), **fields)


def chat(hold="h1", *, route="chat", **size):
    """A metered call as it arrives."""
    found = read_call(call(*asked(hold, route=route, **size)))
    assert isinstance(found, Ask)
    return found


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

    assert decision == Admitted()


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
    assert counters.untouched


async def test_a_missing_part_that_no_rule_needs_is_no_matter(counters):
    nobody = Ask("email", None, None, None, None, ip="192.0.2.7")

    assert await admitted(nobody, policy(route_email=[limit(1, 60, IP)]), counters, times=2) == 1


async def test_a_broken_store_is_unavailable(clock):
    broken = MemoryCounters(clock, broken=True)

    assert await decide(ALICE, policy(route_email=[limit(1, 60, IP)]), broken) == Unavailable("broken by the test")


@pytest.mark.parametrize(
    ("sets", "passes"),
    [
        pytest.param({"plan_free": [limit(3, 60, CONSUMER)]}, 3, id="plan"),
        pytest.param({"plan_free": [limit(3, 60, CONSUMER)], "tenant_acme": [limit(2, 60, TENANT)]}, 2, id="tenant"),
        pytest.param(
            {
                "plan_free": [limit(3, 60, CONSUMER), quota("requests", 5, CONSUMER)],
                "consumer_mailer": limit_set(limit(9, 60, CONSUMER), replaced=policy_pb.Replaced(limits=True)),
            },
            5,
            id="own-limits-in-place-of-the-plans",
        ),
        pytest.param(
            {
                "plan_free": [quota("email", 2, CONSUMER), quota("requests", 6, CONSUMER)],
                "consumer_mailer": limit_set(
                    quota("email", 4, CONSUMER), replaced=policy_pb.Replaced(usages=["email"])
                ),
            },
            4,
            id="own-quota-in-place-of-the-plans",
        ),
        pytest.param(
            {"plan_free": [quota("email", 2, CONSUMER)],
             "consumer_mailer": limit_set(replaced=policy_pb.Replaced(all_quotas=True))},
            9,
            id="unlimited-consumer",
        ),
        pytest.param({"plan_free": [quota("fax", 2, CONSUMER)]}, 9, id="another-usage"),
        pytest.param({"plan_free": [limit(2, 60, CONSUMER, unit=TOKENS)]}, 9, id="tokens-of-a-route-that-has-none"),
        pytest.param(
            {"route_email": limit_set(limit(4, 60, ROUTE), exempt=True), "plan_free": [limit(1, 60, CONSUMER)],
             "tenant_acme": [limit(1, 60, TENANT)]},
            4,
            id="exempt-route",
        ),
        pytest.param({"plan_free": [quota("email", 9, CONSUMER), quota("email", 5, PLAN, window=DAY)]}, 5, id="pot"),
    ],
)  # fmt: skip
async def test_whose_rules_count_a_call(counters, sets, passes):
    limits = policy(**{"route_email": limit_set(usage="email"), **sets})

    assert await admitted(replace(ALICE, plan="free"), limits, counters, times=9) == passes


async def test_a_quota_of_a_plan_is_one_pot_for_all_tenants(counters):
    limits = policy(route_email=[], plan_free=[quota("requests", 3, PLAN)])
    callers = [replace(ALICE, plan="free", tenant=tenant, consumer=tenant) for tenant in ("a", "b", "c", "d")]

    assert [await admitted(caller, limits, counters) for caller in callers] == [1, 1, 1, 0]


async def test_a_spent_quota_says_until_when(counters, clock):
    limits = policy(route_email=limit_set(quota("email", 2, CONSUMER, window=DAY), usage="email"))
    await admitted(ALICE, limits, counters, times=2)

    decision = await decide(ALICE, limits, counters)

    assert isinstance(decision, Refused)
    standing = decision.longest
    assert (standing.used, standing.limit, standing.remaining, decision.tightest) == (2, 2, 0, None)
    assert standing.resets_at == 1_700_006_400  # 2023-11-15T00:00:00Z
    clock.advance(standing.retry_seconds)
    assert await admitted(ALICE, limits, counters) == 1


async def test_a_cost_counts_in_quotas_of_calls(counters):
    limits = policy(route_email=limit_set(quota("email", 10, CONSUMER), usage="email"))

    assert await admitted(replace(ALICE, hits=3), limits, counters, times=9) == 3


@pytest.mark.parametrize(("used", "warned"), [(7, 0), (8, 1), (10, 1)])
async def test_a_quota_warns_from_four_fifths_on(counters, used, warned):
    limits = policy(route_email=limit_set(quota("email", 10, CONSUMER), usage="email"))

    decision = await decide(replace(ALICE, hits=used), limits, counters)

    assert len(decision.warnings) == warned


async def test_what_a_call_may_come_to_is_taken_when_it_begins(counters):
    limits = policy(route_chat=metered(limit(1000, 60, SUBJECT, unit=TOKENS), quota("usd", 10**9, CONSUMER)))

    first = await decide(chat("h1", output=300, received=100), limits, counters)
    second = await decide(chat("h2", output=300, received=301), limits, counters)
    third = await decide(chat("h3", output=300, received=300), limits, counters)

    assert isinstance(first, Admitted)
    assert (first.output, first.holds) == (300, True)
    assert isinstance(second, Refused)
    assert (second.longest.remaining, second.longest.amount) == (600, 601)
    assert isinstance(third, Admitted)


async def test_several_answers_are_held_for_together(counters):
    limits = policy(route_chat=metered(limit(1000, 60, SUBJECT, unit=TOKENS)))

    assert (await decide(chat(output=250, answers=4), limits, counters)).output == 1000
    assert isinstance(await decide(chat(output=250, answers=5), limits, counters), TooDear)


@pytest.mark.parametrize(
    ("rule", "size", "affordable"),
    [
        pytest.param(limit(1000, 60, SUBJECT, unit=TOKENS), {"output": 1000, "received": 1}, 999, id="tokens"),
        pytest.param(
            limit(1000, 60, SUBJECT, unit=TOKENS), {"output": 600, "answers": 2, "received": 100}, 450, id="answers"
        ),
        pytest.param(quota("tokens", 1000, SUBJECT), {"output": 2000}, 1000, id="quota-of-tokens"),
        # 10,000 nano-dollars a token read, 30,000 a token written
        pytest.param(quota("usd", 10**6, SUBJECT), {"output": 31, "received": 10}, 30, id="quota-of-money"),
        pytest.param(quota("usd", 10**6, SUBJECT), {"output": 1, "received": 101}, -1, id="prompt-alone-is-too-dear"),
    ],
)
async def test_a_call_that_never_fits_is_told_what_would(counters, rule, size, affordable):
    decision = await decide(chat(**size), policy(route_chat=metered(rule)), counters)

    assert isinstance(decision, TooDear)
    assert (
        decision.cost.affordable_output(rule.usage if isinstance(rule, policy_pb.Quota) else "tokens", decision.limit)
        == affordable
    )
    assert not counters.memory.holds


async def test_a_call_that_fits_with_what_was_granted_passes(counters):
    limits = policy(route_chat=metered(quota("tokens", 1000, SUBJECT)))
    ask = chat(output=1500)
    (rule,) = limits.of_route("chat").rules
    await counters.grant(claim(rule, ask, 0), 500)

    assert isinstance(await decide(ask, limits, counters), Admitted)
    assert isinstance(await decide(chat("h2", output=1), limits, counters), Refused)


async def test_a_call_that_costs_nothing_takes_no_money(counters):
    free = limit_set(quota("usd", 1, SUBJECT), metering=metering())

    assert await admitted(chat(output=1000), policy(route_chat=free), counters, times=3) == 3
    assert counters.untouched


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "num_predict", "n"])
async def test_a_number_that_is_missing_is_the_callers_mistake(counters, name):
    ask = chat()
    without = replace(ask, numbers={key: value for key, value in ask.numbers.items() if key != name})

    assert await decide(without, policy(route_chat=metered()), counters) == Missing((name,))


@pytest.mark.parametrize(
    "missing",
    [pytest.param({"numbers": {}}, id="no-numbers"), pytest.param({"numbers": {}, "hold": None}, id="no-hold")],
)
async def test_a_metered_route_whose_calls_bring_nothing_is_no_mistake_of_the_caller(counters, missing):
    decision = await decide(replace(chat(), **missing), policy(route_chat=metered()), counters)

    assert decision == Unheld("chat")


async def test_calls_under_way_are_counted_until_they_end(counters):
    limits = policy(route_email=[concurrent(2, SUBJECT)])
    calls = [replace(ALICE, hold=f"h{number}") for number in range(3)]

    assert [await admitted(ask, limits, counters) for ask in calls] == [1, 1, 0]
    await counters.settle("h0", ())
    assert await admitted(calls[2], limits, counters) == 1


async def test_calls_under_way_cannot_be_counted_without_a_hold(counters):
    assert await decide(ALICE, policy(route_email=[concurrent(2, SUBJECT)]), counters) == Unheld("email")


async def test_two_calls_with_one_id_are_an_alarm(counters):
    limits = policy(route_chat=metered(limit(1000, 60, SUBJECT, unit=TOKENS)))
    await decide(chat("h1"), limits, counters)

    assert await decide(chat("h1"), limits, counters) == Repeated("h1")


@pytest.mark.parametrize(
    ("rule", "ask"),
    [
        pytest.param(limit(1, 60, SUBJECT, mode=REPORT, name="r"), ALICE, id="limit"),
        pytest.param(limit(1, 60, TENANT, mode=REPORT, name="r"), replace(ALICE, tenant=None), id="nobody-to-count"),
        pytest.param(concurrent(1, SUBJECT, mode=REPORT, name="r"), ALICE, id="no-hold"),
    ],
)
async def test_a_rule_that_reports_refuses_nothing(counters, rule, ask):
    limits = policy(route_email=[rule, limit(3, 60, ROUTE)])

    decisions = [await decide(ask, limits, counters) for _ in range(4)]

    assert [type(decision) for decision in decisions] == [Admitted] * 3 + [Refused]
    assert [found.id for found in decisions[2].would_refuse] == ["r"]
    assert decisions[2].tightest.rule.id != "r"


async def test_a_rule_that_reports_does_not_hide_one_that_refuses(counters):
    limits = policy(route_chat=metered(limit(10, 60, SUBJECT, unit=TOKENS, mode=REPORT), quota("tokens", 99, SUBJECT)))

    assert isinstance(await decide(chat(output=100), limits, counters), TooDear)
    decision = await decide(chat(output=50), limits, counters)
    assert isinstance(decision, Admitted)
    assert len(decision.would_refuse) == 1


async def test_of_rules_that_the_store_could_not_tell_the_others_speak(counters):
    """A store that is away for a rule that lets calls pass meanwhile."""
    limits = policy(route_email=[limit(9, 60, SUBJECT, name="known"), limit(4, 60, IP, name="not")])

    class Half:
        async def take(self, claims, hold=None):
            taken = await counters.take(claims, hold)
            return replace(taken, readings=(taken.readings[0], None), degraded=True)

    assert (await decide(ALICE, limits, Half())).tightest.rule.id == "known"


async def test_a_usage_that_is_called_as_rules_on_calls_under_way_is_a_usage(counters):
    limits = policy(route_email=limit_set(quota("concurrent", 2, CONSUMER), usage="concurrent"), route_other=[])
    other = replace(ALICE, route="other", plan="free")

    assert await admitted(replace(ALICE, hits=2), limits, counters, times=2) == 1
    assert await admitted(other, policy(route_other=[], plan_free=[quota("concurrent", 1, CONSUMER)]), counters, 3) == 3


async def test_who_may_retry_sooner_than_a_window_resets_is_not_told_of_the_window(counters):
    """Retry-After is not to be earlier than RateLimit-Reset."""
    limits = policy(route_email=[limit(9, 3600, SUBJECT), concurrent(1, SUBJECT)])
    await decide(replace(ALICE, hold="one"), limits, counters)

    decision = await decide(replace(ALICE, hold="two"), limits, counters)

    assert isinstance(decision, Refused)
    assert (decision.longest.retry_seconds, decision.tightest) == (1, None)


def of_models(*rules):
    """A plan's rules, and two models beside a route of none."""
    models = {f"route/model:{name}": limit_set(model=name, metering=metering()) for name in "ab"}
    return policy(**models, **{"plan/free": limit_set(*rules), "route/email": limit_set(), "route/open": limit_set()})


async def test_models_are_counted_apart_and_calls_of_none_together(counters):
    limits = of_models(limit(1, 60, SUBJECT, MODEL))
    asks = [chat(f"h{number}", route=route, plan="free") for number, route in enumerate(["model:a", "model:b"] * 2)]

    assert [isinstance(await decide(ask, limits, counters), Admitted) for ask in asks] == [True, True, False, False]
    assert await admitted(Ask("email", "alice", None, None, "free"), limits, counters) == 1
    assert await admitted(Ask("open", "alice", None, None, "free"), limits, counters) == 0


async def test_a_quota_may_be_one_of_each_model(counters):
    limits = of_models(quota("tokens", 150, CONSUMER, MODEL))

    found = [await decide(chat(f"h{name}", route=f"model:{name}", plan="free"), limits, counters) for name in "ab"]
    assert [isinstance(decision, Admitted) for decision in found] == [True, True]
    assert isinstance(await decide(chat("again", route="model:a", plan="free"), limits, counters), Refused)


async def test_a_call_of_a_model_tells_how_it_stands_with_calls_and_with_tokens(counters):
    rules = (
        limit(100, 3600, SUBJECT, name="hour"), limit(5, 60, SUBJECT, name="minute"),
        limit(150, 60, SUBJECT, unit=TOKENS, name="tokens"), limit(1, 60, SUBJECT, mode=REPORT, name="tried"),
    )  # fmt: skip
    limits = of_models(*rules)

    first = await decide(chat("h1", route="model:a", plan="free"), limits, counters)
    assert [(item.rule.id, item.remaining) for item in first.of_model] == [("minute", 4), ("tokens", 50)]

    second = await decide(chat("h2", route="model:a", plan="free"), limits, counters)
    assert isinstance(second, Refused)
    assert [(item.rule.id, item.remaining) for item in second.of_model] == [("minute", 4), ("tokens", 50)]
    assert (await decide(Ask("email", "alice", None, None, "free"), limits, counters)).of_model == ()


async def test_what_is_told_of_a_call_whose_end_never_comes_names_its_model(counters):
    limits = of_models(limit(9_000, 60, SUBJECT, unit=TOKENS))

    await decide(chat("h1", route="model:a", plan="free"), limits, counters)

    (hold,) = counters.memory.holds.values()
    assert json.loads(hold.note)["model"] == "a"
