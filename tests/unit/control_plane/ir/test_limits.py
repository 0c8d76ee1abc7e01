"""What rules are called, whose calls they count, and which routes ask because of them."""

import time
from typing import Any

import pytest

from control_plane.ir.model import Gateway, Limit, Mode, Quota, Route, StoreFailure
from tests.support.compiled import IDENTITY, compiled, config, private, route

METERED = private("chat", "/v1/chat/completions", tokens={"most": 100, "price": {"input": 0.1}}, methods=["POST"])
REPORTED = {"mode": "report"}


def gateway(*routes: dict[str, Any], **changes: Any) -> Gateway:
    return compiled(config(identity=IDENTITY, routes=list(routes), **changes)).gateway


def one_route(written: dict[str, Any], **changes: Any) -> Route:
    return next(item for item in gateway(written, **changes).routes if item.name == written["name"])


def ids(*limits: dict[str, Any]) -> list[str]:
    return [limit.id for limit in one_route({**METERED, "limits": list(limits)}).limits]


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        pytest.param({"requests": "5/minute"}, "route/chat:minute:subject", id="requests"),
        pytest.param({"requests": "5/day", "per": ["tenant", "ip"]}, "route/chat:day:ip+tenant", id="a combination"),
        pytest.param({"tokens": "5/hour", "per": "plan"}, "route/chat:hour:tokens:plan", id="tokens"),
        pytest.param({"concurrent": 5}, "route/chat:concurrent:subject", id="calls under way"),
        pytest.param(
            {"requests": "5/hour", "scope": "instance"}, "route/chat:hour:subject:instance", id="of an instance"
        ),
        pytest.param({"requests": "5/hour", **REPORTED}, "route/chat:hour:subject", id="reported alone"),
    ],
)
def test_an_id_says_what_is_counted_and_not_how_much(limit: dict[str, Any], name: str) -> None:
    assert ids(limit) == [name]


def test_what_is_tried_beside_a_limit_is_counted_apart_from_it() -> None:
    limit = {"requests": "9/minute"}

    assert ids(limit, {"requests": "5/minute", **REPORTED}) == [
        "route/chat:minute:subject",
        "route/chat:minute:subject:report",
    ]


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        pytest.param({"usage": "requests", "amount": "5/day"}, ("requests:day:consumer", 5), id="requests"),
        pytest.param({"usage": "usd", "amount": "5.25/month"}, ("usd:month:consumer", 5_250_000_000), id="money"),
        pytest.param({"usage": "usd", "amount": "0.000000001/week"}, ("usd:week:consumer", 1), id="the least money"),
        pytest.param({"usage": "usd", "amount": "1125899/day"}, ("usd:day:consumer", 1_125_899 * 10**9), id="the most"),
        pytest.param({"usage": "tokens", "amount": "1000000000000000/day", "per": ["plan", "ip"]},
                     ("tokens:day:ip+plan", 10**15), id="the most of others"),
    ],
)  # fmt: skip
def test_quotas(quota: dict[str, Any], expected: tuple[str, int]) -> None:
    (plan,) = gateway(METERED, plans={"p": {"quotas": [quota]}}).plans

    assert [(item.id, item.amount) for item in plan.quotas] == [(f"plan/p:{expected[0]}", expected[1])]


@pytest.mark.parametrize("kind", ["limits", "quotas"])
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        pytest.param({}, (Mode.ENFORCE, StoreFailure.DENY), id="by default"),
        pytest.param({"on_store_failure": "local"}, (Mode.ENFORCE, StoreFailure.LOCAL), id="local"),
        pytest.param(REPORTED, (Mode.REPORT, StoreFailure.ALLOW), id="reported: refuses nothing, ever"),
    ],
)
def test_how_a_rule_is_kept(kind: str, how: dict[str, Any], expected: tuple[Mode, StoreFailure]) -> None:
    rule = {"requests": "5/day"} if kind == "limits" else {"usage": "requests", "amount": "5/day"}
    (plan,) = gateway(private(), plans={"p": {kind: [{**rule, **how}]}}).plans

    found: tuple[Limit | Quota, ...] = (*plan.limits, *plan.quotas)
    assert [(item.mode, item.on_store_failure) for item in found] == [expected]


REQUESTS = {"limits": [{"requests": "5/minute"}]}
CONCURRENT = {"limits": [{"concurrent": 5}]}
TOKENS = {"limits": [{"tokens": "500/minute"}]}
EMAIL = {"quotas": [{"usage": "email", "amount": "5/day"}]}
CALLS = {"quotas": [{"usage": "requests", "amount": "5/day"}]}
MONEY = {"quotas": [{"usage": "usd", "amount": "5/day"}]}
ASKS, HOLDS, NEITHER = (True, False), (True, True), (False, False)
MAIL = private("mail", "/mail", usage="email")
PLAIN = private("plain", "/plain")
OPEN = private("open", "/open", limits="unlimited")
PUBLIC = route("public", "/public")


@pytest.mark.parametrize("owner", ["plan", "consumer", "tenant"])
@pytest.mark.parametrize(
    ("written", "rules", "expected"),
    [
        pytest.param(PLAIN, REQUESTS, ASKS, id="requests"),
        pytest.param(PLAIN, CALLS, ASKS, id="a quota of requests"),
        pytest.param(PLAIN, CONCURRENT, HOLDS, id="calls under way"),
        pytest.param(PLAIN, EMAIL, NEITHER, id="what others count as"),
        pytest.param(PLAIN, TOKENS, NEITHER, id="tokens it has none of"),
        pytest.param(MAIL, EMAIL, ASKS, id="what it counts as"),
        pytest.param(METERED, TOKENS, HOLDS, id="tokens"),
        pytest.param(METERED, MONEY, HOLDS, id="money"),
        pytest.param(METERED, REQUESTS, HOLDS, id="requests, and it has tokens"),
        pytest.param(METERED, EMAIL, NEITHER, id="tokens that nobody counts"),
        pytest.param(OPEN, CONCURRENT, NEITHER, id="unlimited"),
        pytest.param(PUBLIC, CONCURRENT, NEITHER, id="public"),
    ],
)
def test_which_routes_ask_because_of_callers(
    owner: str, written: dict[str, Any], rules: dict[str, Any], expected: tuple[bool, bool]
) -> None:
    owners: dict[str, dict[str, Any]] = {
        "plan": {"plans": {"p": rules}},
        "consumer": {"consumers": [{"name": "c", **rules}]},
        "tenant": {"tenants": [{"name": "t", **rules}]},
    }
    others = [item for item in (MAIL, METERED) if item is not written]
    built = {item.name: item for item in gateway(written, *others, **owners[owner]).routes}

    found = built[written["name"]]
    assert (found.asks_limiter, found.holds) == expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param([{"requests": "5/minute"}], ASKS, id="requests"),
        pytest.param([{"requests": "5/minute"}, {"concurrent": 5}], HOLDS, id="calls under way"),
        pytest.param([{"requests": "5/minute", "scope": "instance"}], NEITHER, id="of an instance"),
    ],
)
def test_which_routes_ask_because_of_their_own(limits: list[dict[str, Any]], expected: tuple[bool, bool]) -> None:
    found = one_route({**PLAIN, "limits": limits})

    assert (found.asks_limiter, found.holds) == expected


@pytest.mark.parametrize("word", ["limits", "quotas"])
def test_unlimited_is_no_rule_of_a_plan(word: str) -> None:
    assert gateway(PLAIN, plans={"p": {word: "unlimited"}}) == gateway(PLAIN, plans={"p": {}})


def test_an_unlimited_route_is_counted_by_no_instance() -> None:
    here = {"p": {"limits": [{"requests": "5/minute", "scope": "instance"}]}}

    assert [one_route(item, plans=here).limited_here for item in (PLAIN, OPEN)] == [True, False]


BY_TENANT = {"plans": {"p": {"limits": [{"requests": "5/minute", "per": ["tenant", "ip"]}]}}}
SECRET = {"name": "a", "token": "a-bearer-token-of-somebody"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({**BY_TENANT, "identity": {"bearer_tokens": [SECRET]}}, ["plans.p.limits[0]"], id="a token"),
        pytest.param({**BY_TENANT, "identity": {"bearer_tokens": [{**SECRET, "tenant": "t"}]}}, [], id="of a tenant"),
        pytest.param(
            {**BY_TENANT, "identity": {"bearer_tokens": [{**SECRET, "consumer": "c"}]},
             "consumers": [{"name": "c", "tenant": "t"}]}, [], id="of a consumer with a tenant",
        ),
        pytest.param({**BY_TENANT, "identity": {"bearer_tokens": []}, "consumers": [{"name": "c"}], "routes": []},
                     ["plans.p.limits[0]"], id="a consumer"),
        pytest.param({"routes": [private(limits=[{"requests": "5/minute", "per": "tenant"}])]},
                     ["routes[0].limits[0]"], id="a route"),
        pytest.param(
            {"plans": {"p": {"quotas": [{"usage": "requests", "amount": "5/day", "per": "tenant", **REPORTED}]}}}, [],
            id="reported",
        ),
        pytest.param({"plans": {"p": TOKENS}, "routes": [{**METERED, "tokens": {"most": 500}}]}, [], id="most fits"),
        pytest.param({"plans": {"p": TOKENS}, "routes": [{**METERED, "tokens": {"most": 501}}]},
                     ["routes[0].tokens"], id="most does not fit"),
    ],
)  # fmt: skip
def test_who_and_what_is_refused_always_is_warned_of(changes: dict[str, Any], expected: list[str]) -> None:
    checked = compiled(config(**{"identity": IDENTITY, "routes": [private()], **changes}))

    found = checked.warnings(time.time())
    assert [path for path in expected if not any(f"({path})" in text for text in found)] == []
    assert len(found) == len(expected)
