import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType

import pytest

from service_kit.contract import API_KEY_TYPE, CONSUMER_TYPE
from service_kit.subscription import PolicyRejected
from tests.support.authz import NOW, ROUTE, Gate, api_key, check_request, gate, key_of, key_policy, settings
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

GOOD = key_of("k1")
COUNTED = ("hmac_digest", "compare_digest")


def test_a_key_stands_for_its_consumer():
    answer = gate(key_policy(api_key(scopes=["a"], roles=["r"]))).use(GOOD.text, scopes="a", roles="r")

    parts = {name: answer.part(name) for name in ("subject", "tenant", "consumer", "plan", "key-id")}
    assert parts == {"subject": "acme", "tenant": "acme-inc", "consumer": "acme", "plan": "-", "key-id": GOOD.id}


@pytest.mark.parametrize(
    ("own", "consumers", "plan"),
    [("pro", "free", "pro"), ("", "free", "free"), ("pro", "", "pro"), ("", "", "-")],
)
def test_the_keys_plan_comes_before_the_consumers(own: str, consumers: str, plan: str):
    acme = policy_pb.Consumer(name="acme", plan=consumers)

    assert gate(key_policy(api_key(plan=own), consumers=[acme])).use(GOOD.text).part("plan") == plan


def test_a_key_with_a_plan_that_nobody_declared_is_refused():
    assert gate(key_policy(api_key(plan="gone"))).use(GOOD.text).code == "unknown_plan"


@pytest.mark.parametrize(
    ("models", "part"),
    [
        pytest.param(None, "-", id="unrestricted"),
        pytest.param(["mistral", "llama3.1:*", "mistral"], ",llama3.1:*,mistral,", id="some"),
        pytest.param([], ",", id="none"),
    ],
)
def test_a_key_may_be_for_some_models(models: list[str] | None, part: str):
    restricted = None if models is None else policy_pb.Models(patterns=models)

    assert gate(key_policy(api_key(models=restricted))).use(GOOD.text).part("models") == part


@pytest.mark.parametrize(
    "patterns",
    [
        pytest.param(["a,b"], id="two-in-one"),
        pytest.param([""], id="empty"),
        pytest.param(["a*b*"], id="two-stars"),
        pytest.param(["a b"], id="a-space"),
        pytest.param([f"model-{number}-{'x' * 90}" for number in range(30)], id="too-many"),
    ],
)
def test_a_restriction_that_no_header_can_carry_is_no_policy(patterns: list[str]):
    with pytest.raises(PolicyRejected, match="what models API key"):
        gate(key_policy(api_key(models=policy_pb.Models(patterns=patterns))))


# What is refused, and the reason that only the log has.
REFUSED = {
    "no_key": ("nonsense", {}),
    "a check that is wrong": (GOOD.text[:-1] + ("0" if GOOD.text[-1] != "0" else "1"), {}),
    "unknown_id": (key_of("unknown").text, {}),
    "wrong_secret": (GOOD.text, {"hash": bytes(32)}),
    "expired": (GOOD.text, {"expires": NOW}),
    "unknown_consumer": (GOOD.text, {"consumer": "nobody"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_whatever_is_wrong_the_answer_is_one(name: str):
    text, changes = REFUSED[name]
    at = gate(key_policy(api_key(**changes)))
    answer = at.use(text)

    assert (answer.status, answer.code) == (401, "unknown_api_key")
    assert answer.error["message"] == gate(key_policy()).use("x").error["message"]
    assert at.log_lines()[0]["reason"] == (name if "_" in name or name == "expired" else "no_key")
    assert text not in at.logged.getvalue()


def compared(work: Callable[[], object]) -> Counter[str]:
    """How often the work makes a keyed hash and compares two."""
    calls: Counter[str] = Counter()

    def saw(_frame: FrameType, event: str, function: object) -> None:
        name = getattr(function, "__name__", "")
        if event == "c_call" and name in COUNTED:
            calls[name] += 1

    sys.setprofile(saw)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("name", [name for name in REFUSED if "_" in name or name == "expired"])
def test_every_refusal_does_the_work_of_a_key_that_is_right(name: str):
    text, changes = REFUSED[name]
    refusing, allowing = gate(key_policy(api_key(**changes))), gate(key_policy(api_key()))
    question = check_request([("x-api-key", text)], {**ROUTE, "accept": "api_key"})
    right = check_request([("x-api-key", GOOD.text)], {**ROUTE, "accept": "api_key"})

    work = compared(lambda: allowing.answer(right))
    assert work == Counter({"hmac_digest": 1, "compare_digest": 1})
    assert compared(lambda: refusing.answer(question)) == work


def test_a_key_ends_by_our_clock():
    at = gate(key_policy(api_key(expires=NOW + 10)))
    assert at.use(GOOD.text).allowed
    at.clock.advance(10)

    assert at.use(GOOD.text).code == "unknown_api_key"


@pytest.mark.parametrize(
    ("networks", "client", "allowed"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "11.1.2.3", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["::ffff:10.0.0.0/104"], "10.1.2.3", True),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["::/0"], "10.1.2.3", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["10.0.0.1", "10.0.0.3"], "10.0.0.2", False),
        (["0.0.0.0/0"], "", False),
        (["0.0.0.0/0"], "nonsense", False),
        (["0.0.0.0/0"], "10.0.0.1, 10.0.0.2", False),
    ],
)
def test_a_key_is_for_its_networks(networks: list[str], client: str, *, allowed: bool):
    answer = gate(key_policy(api_key(allow_ips=networks))).use(GOOD.text, ("x-forwarded-for", client))

    assert answer.code == ("ok" if allowed else "address_not_allowed")


def test_two_addresses_are_none():
    told = [("x-forwarded-for", "10.0.0.1"), ("x-forwarded-for", "10.0.0.1")]

    assert gate(key_policy(api_key(allow_ips=["10.0.0.0/8"]))).use(GOOD.text, *told).code == "address_not_allowed"


def test_an_address_may_only_be_reported():
    at = gate(key_policy(api_key(allow_ips=["10.0.0.0/8"]), api_keys=settings(report_addresses=True)))
    answer = at.use(GOOD.text, ("x-forwarded-for", "11.0.0.1"))

    assert (answer.allowed, answer.metadata["would_deny"]) == (True, "address_not_allowed")
    assert at.count("tollgate_authz_would_deny_total", code="address_not_allowed") == 1


def stored(at: Gate, *keys: policy_pb.ApiKey, removed: tuple[str, ...] = ()) -> None:
    at.authorizer.apply(API_KEY_TYPE, {key.id: key.SerializeToString() for key in keys}, removed)


def test_stored_keys_come_and_go_one_by_one():
    at = gate(key_policy())
    stored(at, api_key("k1"), api_key("k2"))
    assert at.use(GOOD.text).allowed
    assert at.count("tollgate_authz_stored", kind="keys") == 2
    stored(at, removed=(GOOD.id,))

    assert (at.use(GOOD.text).code, at.use(key_of("k2").text).code) == ("unknown_api_key", "ok")


def test_a_new_policy_keeps_stored_keys():
    at = gate(key_policy())
    stored(at, api_key())
    at.apply(key_policy())

    assert at.use(GOOD.text).allowed


def test_a_stored_consumer_brings_tenant_and_plan():
    at = gate(key_policy(consumers=[]))
    stored(at, api_key())
    assert at.use(GOOD.text).code == "unknown_api_key"
    acme = policy_pb.Consumer(name="acme", tenant="stored-inc", plan="pro")
    at.authorizer.apply(CONSUMER_TYPE, {"acme": acme.SerializeToString()}, ())

    assert (at.use(GOOD.text).part("tenant"), at.use(GOOD.text).part("plan")) == ("stored-inc", "pro")


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(api_key("k2", hash=b"short").SerializeToString(), id="no-hash"),
        pytest.param(api_key("k2", consumer="").SerializeToString(), id="nobodys"),
        pytest.param(api_key("k2", allow_ips=["nowhere"]).SerializeToString(), id="no-network"),
        pytest.param(api_key("k3").SerializeToString(), id="another-key"),
        pytest.param(api_key("k2").SerializeToString() + b"\xfa\x01\x01x", id="a-field-of-a-newer-version"),
        pytest.param(b"\xff", id="nonsense"),
    ],
)
def test_of_a_change_that_cannot_be_read_nothing_stays(bad: bytes):
    """What is named may have been meant to be revoked; the rest is as it was."""
    at = gate(key_policy())
    stored(at, api_key("k1"), api_key("k2"), api_key("k4"))
    with pytest.raises(PolicyRejected):
        at.authorizer.apply(API_KEY_TYPE, {key_of("k2").id: bad}, [GOOD.id])

    codes = [at.use(key_of(name).text).code for name in ("k1", "k2", "k4")]
    assert codes == ["unknown_api_key", "unknown_api_key", "ok"]


def test_uses_of_keys_are_noted_whatever_they_were_for():
    at = gate(key_policy(api_key()))
    at.use(GOOD.text)
    at.clock.advance(5)
    at.use(GOOD.text, scopes="missing")
    at.use(key_of("k2").text)

    assert at.uses.taken() == {GOOD.id: NOW + 5}


def test_without_settings_a_route_for_keys_is_a_skew():
    assert gate().use(GOOD.text).status == 503


@pytest.mark.parametrize(
    "broken",
    [settings(pepper=b"short"), settings(headers=[], query="", cookie="")],
    ids=["a short pepper", "no place"],
)
def test_settings_that_would_open_too_much_are_rejected(broken: policy_pb.ApiKeySettings):
    with pytest.raises(PolicyRejected):
        gate(key_policy(api_keys=broken))
