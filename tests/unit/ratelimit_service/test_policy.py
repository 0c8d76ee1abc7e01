"""A change of policy is taken whole or refused with everything that is wrong."""

import pytest

from ratelimit_service.claims import Calendar, CalendarUnit, Failing, InFlight
from ratelimit_service.policy import CONCURRENT, Dimension, PolicyTable, Rule, RuleSet
from ratelimit_service.windows import Window
from service_kit.contract import AUTHZ_POLICY_TYPE, LIMIT_SET_TYPE
from service_kit.metering import Prices
from service_kit.subscription import PolicyRejected
from tests.support.limits import (
    CONSUMER,
    IP,
    REPORT,
    ROUTE,
    SUBJECT,
    TENANT,
    TOKENS,
    concurrent,
    limit,
    limit_set,
    metering,
    quota,
)
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

NEWER_FIELD = b"\x78\x01"  # field 15 as varint true


def table_with(changed):
    table = PolicyTable()
    table.apply(LIMIT_SET_TYPE, changed, ())
    return table


def test_a_set_becomes_rules():
    message = limit_set(
        limit(30, 60, SUBJECT, IP, name="email:30"),
        concurrent(5, CONSUMER, name="at-once", mode=REPORT),
        quota("email", 100, TENANT, name="emails", on_store_failure=policy_pb.STORE_FAILURE_LOCAL),
        usage="email",
        metering=metering(100_000, 300_000),
        exempt=True,
    )

    found = table_with({"route/email": message}).current.of_route("email")

    per = (Dimension.SUBJECT, Dimension.IP)
    assert found == RuleSet(
        rules=(
            Rule("route/email", "email:30", "requests", Window(30, 60_000_000), per),
            Rule("route/email", "at-once", CONCURRENT, InFlight(5, 3_600_000_000), (Dimension.CONSUMER,), report=True),
            Rule(
                "route/email", "emails", "email", Calendar(100, CalendarUnit.MONTH), (Dimension.TENANT,),
                failing=Failing.LOCAL,
            ),
        ),
        usage="email",
        prices=Prices(100_000, 300_000),
        exempt=True,
    )  # fmt: skip


def test_a_call_is_held_for_at_the_most_that_it_may_cost_anywhere():
    targets = [("a", 10, 30), ("b", 20, 5)]
    message = limit_set(metering=metering(1, 1, targets), model="llama3.1")

    found = table_with({"route/model:llama3.1": message}).current.of_route("model:llama3.1")

    assert (found.prices, found.model) == (Prices(20, 30), "llama3.1")
    assert [found.prices_of(name) for name in ("a", "b", "c", None)] == [
        Prices(10, 30), Prices(20, 5), Prices(10, 30), Prices(10, 30)
    ]  # fmt: skip


def test_one_price_is_that_of_whoever_answers():
    found = table_with({"route/chat": limit_set(metering=metering(1, 2))}).current.of_route("chat")

    assert found.prices_of("anybody") == found.prices_of(None) == found.prices == Prices(1, 2)
    assert table_with({"route/a": limit_set()}).current.of_route("a").prices_of("b") is None


@pytest.mark.parametrize(
    ("replaced", "limits", "email", "tokens"),
    [
        pytest.param(None, False, False, False, id="nothing"),
        pytest.param(policy_pb.Replaced(limits=True), True, False, False, id="limits"),
        pytest.param(policy_pb.Replaced(usages=["email"]), False, True, False, id="the-quotas-of-a-usage"),
        pytest.param(policy_pb.Replaced(all_quotas=True), False, True, True, id="all-quotas"),
    ],
)
def test_what_a_consumer_has_in_place_of_its_plan(replaced, limits, email, tokens):
    plan = limit_set(limit(1, 1, SUBJECT), quota("email", 1, CONSUMER), quota("tokens", 1, CONSUMER))
    current = table_with({"plan/free": plan, "consumer/acme": limit_set(replaced=replaced)}).current

    found = [current.of_consumer("acme").replaced.replaces(rule) for rule in current.of_plan("free").rules]

    assert found == [limits, email, tokens]


def test_a_consumer_or_tenant_without_a_set_has_no_rules():
    current = table_with({"consumer/acme": limit_set(limit(1, 1, CONSUMER)), "tenant/acme": limit_set()}).current

    assert len(current.of_consumer("acme").rules) == 1
    assert current.of_consumer("other") == current.of_tenant(None) == current.of_tenant("acme") == RuleSet()


def test_an_unknown_set_differs_from_an_empty_one():
    table = table_with({"route/email": limit_set(), "plan/free": limit_set()})

    assert table.current.of_route("email") == table.current.of_plan("free") == RuleSet()
    assert table.current.of_route("free") is None
    assert table.current.of_plan("email") is None


def test_a_change_keeps_what_it_does_not_name():
    table = table_with({"route/a": limit_set(limit(1, 1, SUBJECT)), "route/b": limit_set(), "route/c": limit_set()})

    table.apply(LIMIT_SET_TYPE, {"route/b": limit_set(limit(2, 1, ROUTE))}, ["route/c"])

    assert [rule.limit for rule in table.current.of_route("a").rules] == [1]
    assert [rule.limit for rule in table.current.of_route("b").rules] == [2]
    assert table.current.of_route("c") is None


def test_a_set_in_use_does_not_change_under_the_reader():
    table = table_with({"route/a": limit_set()})
    before = table.current

    table.apply(LIMIT_SET_TYPE, {}, ["route/a"])

    assert before.of_route("a") == RuleSet()


def test_one_bad_set_refuses_the_whole_change_and_names_every_fault():
    table = table_with({"route/a": limit_set()})
    before = table.current
    change = {
        "route/a": limit_set(limit(5, 1, SUBJECT)),
        "route/b": limit_set(limit(0, 1, SUBJECT, name="zero")),
        "plan/c": limit_set(limit(1, 0, SUBJECT, name="never")),
    }

    with pytest.raises(PolicyRejected) as refusal:
        table.apply(LIMIT_SET_TYPE, change, ["route/a"])

    assert table.current is before
    assert "route/b: limit 'zero'" in str(refusal.value)
    assert "plan/c: limit 'never'" in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        pytest.param("route/a", limit_set(limit(0, 60, SUBJECT)), "must allow", id="no-requests"),
        pytest.param("route/a", limit_set(limit(2**51, 60, SUBJECT)), "must allow", id="more-than-is-exact"),
        pytest.param("route/a", limit_set(limit(1, 0, SUBJECT)), "no period", id="no-period"),
        pytest.param("route/a", limit_set(limit(1, 60)), "per what", id="per-nothing"),
        pytest.param(
            "route/a", limit_set(limit(1, 60, policy_pb.DIMENSION_UNSPECIFIED)), "unknown dim", id="unspecified"
        ),
        pytest.param("route/a", limit_set(limit(1, 60, 99)), "unknown dimension", id="unknown-dimension"),
        pytest.param("route/a", limit_set(limit(1, 60, IP, IP)), "twice", id="dimension-twice"),
        pytest.param("route/a", limit_set(limit(1, 60, IP, name="")), "no id", id="no-id"),
        pytest.param("route/a", limit_set(limit(1, 60, IP), limit(1, 60, IP)), "appears twice", id="same-id"),
        pytest.param("route/a", b"\xff\xff", "not a LimitSet", id="not-protobuf"),
        pytest.param("route/a", NEWER_FIELD, "does not know", id="newer-set"),
        pytest.param(
            "route/a",
            limit_set(policy_pb.Limit.FromString(limit(1, 60, IP).SerializeToString() + NEWER_FIELD)),
            "does not know",
            id="newer-limit",
        ),
        pytest.param("route/a", limit_set(limit(1, 60, IP, unit=0)), "unknown unit", id="no-unit"),
        pytest.param("route/a", limit_set(limit(1, 60, IP, unit=9)), "unknown unit", id="unknown-unit"),
        pytest.param("route/a", limit_set(limit(1, 60, IP, mode=0)), "unknown mode", id="no-mode"),
        pytest.param("route/a", limit_set(limit(1, 60, IP, on_store_failure=9)), "store that is away", id="failure"),
        pytest.param("route/a", limit_set(limit(1, 60, IP, unit=policy_pb.UNIT_CONCURRENT)), "by time", id="at-once"),
        pytest.param("plan/a", limit_set(quota("", 1, IP)), "what it counts", id="no-usage"),
        pytest.param("plan/a", limit_set(quota("email", 0, IP)), "must allow", id="nothing-of-a-quota"),
        pytest.param("plan/a", limit_set(quota("email", 1)), "per what", id="quota-per-nothing"),
        pytest.param("plan/a", limit_set(quota("email", 1, IP, window=0)), "unknown window", id="no-window"),
        pytest.param("plan/a", limit_set(quota("email", 1, IP, window=9)), "unknown window", id="unknown-window"),
        pytest.param(
            "plan/a", limit_set(limit(1, 60, IP, name="x"), quota("email", 1, IP, name="x")), "twice", id="one-id"
        ),
        pytest.param("route/a", limit_set(usage="tokens"), "counts anyway", id="usage-of-every-gateway"),
        pytest.param("plan/a", limit_set(usage="email"), "no route's", id="usage-of-a-plan"),
        pytest.param("plan/a", limit_set(metering=metering()), "no route's", id="metered-plan"),
        pytest.param("plan/a", limit_set(model="llama3.1"), "no route's", id="plan-of-a-model"),
        pytest.param(
            "route/a", limit_set(metering=metering(targets=[("a", 1, 2**51)])), "beyond all money", id="price-of-one"
        ),
        pytest.param("route/a", limit_set(metering=metering(targets=[("", 1, 1)])), "without a name", id="of-nobody"),
        pytest.param(
            "route/a", limit_set(metering=metering(targets=[("a", 1, 1), ("a", 2, 2)])), "target twice", id="two-prices"
        ),
        pytest.param(
            "route/a",
            limit_set(metering=policy_pb.Metering(targets=[policy_pb.Target.FromString(b"\x0a\x01a" + NEWER_FIELD)])),
            "does not know",
            id="newer-target",
        ),
        pytest.param("tenant/a", limit_set(exempt=True), "no route's", id="exempt-tenant"),
        pytest.param("plan/a", limit_set(replaced=policy_pb.Replaced()), "no consumer's", id="replacing-plan"),
        pytest.param("route/a", limit_set(metering=metering(2**51)), "beyond all money", id="price"),
        pytest.param(
            "route/a", limit_set(limit(1, 60, IP, unit=TOKENS)), "not metered", id="tokens-of-a-route-without"
        ),
        pytest.param("route/a", limit_set(quota("usd", 1, IP)), "which calls of the route are not", id="never-counted"),
        pytest.param(
            "consumer/a", limit_set(replaced=policy_pb.Replaced(usages=["a", "a"])), "usage twice", id="usage-twice"
        ),
        pytest.param("email", limit_set(), "no name of a limit set", id="name-without-kind"),
        pytest.param("route/", limit_set(), "no name of a limit set", id="kind-without-name"),
    ],
)
def test_refused(name, raw, reason):
    with pytest.raises(PolicyRejected, match=reason):
        PolicyTable().apply(LIMIT_SET_TYPE, {name: raw}, ())


def test_another_type_is_refused():
    with pytest.raises(PolicyRejected, match="AuthzPolicy"):
        PolicyTable().apply(AUTHZ_POLICY_TYPE, {}, ())
