"""A token of the gateway is never more than its API key is at the moment."""

import jwt
import pytest

from service_kit.contract import API_KEY_TYPE
from service_kit.gateway_tokens import ALGORITHM
from service_kit.subscription import PolicyRejected
from tests.support.authz import NOW, api_key, check_request, key_of, key_policy, rsa_issuer, settings, signed
from tests.support.tokens import FIRST, GATEWAY, SECOND, token_gate, token_policy, tokens
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

JWT = {"route": "email", "profile": "p1", "accept": "jwt"}


def use(at, token: str, address: str = "192.0.2.7", **demands: str):
    headers = [("authorization", f"Bearer {token}"), ("x-forwarded-for", address)]
    return at.gate.answer(check_request(headers, {**JWT, **demands}))


async def test_a_token_is_its_key():
    at = token_gate()
    answer = use(at, await at.token(), scopes="email.send", roles="mailer")

    assert answer.allowed
    assert [answer.part(name) for name in ("subject", "consumer", "tenant", "plan", "key-id")] == [
        "acme", "acme", "acme-inc", "pro", key_of("k1").id
    ]  # fmt: skip
    assert answer.removed == ["authorization"]


@pytest.mark.parametrize(
    ("now", "code", "reason"),
    [
        pytest.param({"declared_keys": []}, "invalid_token", "key_unknown_id", id="revoked"),
        pytest.param({"declared_keys": [api_key(expires=NOW + 1)]}, "invalid_token", "key_expired", id="ended"),
        pytest.param({"consumers": []}, "invalid_token", "key_unknown_consumer", id="nobody's"),
        pytest.param(
            {
                "declared_keys": [api_key(consumer="other")],
                "consumers": [policy_pb.Consumer(name="acme"), policy_pb.Consumer(name="other")],
            },
            "invalid_token",
            "key_of_another",
            id="another's",
        ),
        pytest.param({"declared_keys": [api_key()]}, "missing_scope", "", id="fewer scopes"),
        pytest.param({"declared_keys": [api_key(scopes=["email.send"])]}, "missing_role", "", id="fewer roles"),
        pytest.param({"tokens": None}, "invalid_token", "unknown_issuer", id="no tokens any more"),
        pytest.param({"tokens": tokens(issuer="https://new.test")}, "invalid_token", "unknown_issuer", id="moved"),
        pytest.param({"tokens": tokens(audiences=["x"])}, "wrong_audience", "audience", id="audience"),
    ],
)  # fmt: skip
async def test_what_becomes_of_the_key_becomes_of_its_tokens(now, code, reason):
    at = token_gate()
    token = await at.token()
    assert use(at, token, scopes="email.send", roles="mailer").allowed

    at.gate.apply(token_policy(**{"declared_keys": [api_key(scopes=["email.send"], roles=["mailer"])], **now}))
    at.gate.clock.advance(2)
    refused = use(at, token, scopes="email.send", roles="mailer")
    assert (refused.code, at.gate.log_lines()[-1]["reason"]) == (code, reason)


async def test_a_stored_key_takes_its_tokens_with_it_at_once():
    at = token_gate(token_policy(declared_keys=[]))
    stored = api_key()
    at.gate.authorizer.apply(API_KEY_TYPE, {stored.id: stored.SerializeToString()}, ())
    token = await at.token()
    assert use(at, token).allowed

    at.gate.authorizer.apply(API_KEY_TYPE, {}, [stored.id])
    refused = use(at, token)
    assert (refused.status, refused.code) == (401, "invalid_token")
    assert refused.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("before", "now", "claim", "part"),
    [
        pytest.param(["a", "b*"], ["a", "b*"], ",a,b*,", ",a,b*,", id="as-it-was"),
        pytest.param(["a", "b*"], ["a"], ",a,b*,", ",a,", id="fewer"),
        pytest.param(None, ["a"], None, ",a,", id="restricted-since"),
        pytest.param(["a"], None, ",a,", "-", id="not-any-more"),
    ],
)
async def test_a_token_calls_the_models_of_its_key_now(before, now, claim, part):
    def restricted(patterns):
        return api_key(models=None if patterns is None else policy_pb.Models(patterns=patterns))

    at = token_gate(token_policy(restricted(before)))
    token = await at.token()
    at.gate.apply(token_policy(restricted(now)))

    assert jwt.decode(token, options={"verify_signature": False}).get("models") == claim
    assert use(at, token).part("models") == part


async def test_the_plan_is_that_of_the_key_now():
    at = token_gate()
    token = await at.token()
    at.gate.apply(token_policy(api_key(plan="free")))

    assert use(at, token).part("plan") == "free"


async def test_a_token_may_be_used_where_its_key_may():
    at = token_gate(token_policy(api_key(allow_ips=["192.0.2.0/24"])))
    token = await at.token()

    assert use(at, token).allowed
    refused = use(at, token, "198.51.100.1")
    assert (refused.status, refused.code) == (403, "address_not_allowed")
    reported = token_policy(api_key(allow_ips=["192.0.2.0/24"]), api_keys=settings(report_addresses=True))
    at.gate.apply(reported)
    assert use(at, token, "198.51.100.1").allowed


async def test_a_token_is_good_for_its_lifetime():
    at = token_gate()
    token = await at.token()

    at.gate.clock.advance(300 + 9)  # clocks may differ a little
    assert use(at, token).allowed
    at.gate.clock.advance(1)
    assert use(at, token).code == "expired_token"


async def test_keys_that_are_gone_verify_nothing_and_those_that_come_do():
    at = token_gate()
    token = await at.token()
    at.sign_with(SECOND)
    assert use(at, token).code == "invalid_token"

    at.sign_with(FIRST, SECOND)
    assert use(at, token).allowed
    at.gate.clock.advance(1_000)
    assert jwt.get_unverified_header(await at.token())["kid"] == SECOND.id


async def test_without_keys_tokens_are_neither_accepted_nor_refused():
    at = token_gate()
    token = await at.token()
    at.sign_with()

    assert (use(at, token).status, use(at, token).code) == (503, "keys_unavailable")


async def test_keys_that_cannot_be_read_take_those_before_with_them():
    """They may have been replaced for a reason."""
    at = token_gate()
    token = await at.token()
    broken = policy_pb.SigningKeys(keys=[policy_pb.SigningKey(private_key=b"short")])
    with pytest.raises(PolicyRejected) as rejected:
        at.gate.authorizer.apply(
            "type.googleapis.com/tollgate.policy.v1.SigningKeys", {"default": broken.SerializeToString()}, ()
        )

    assert "short" not in str(rejected.value)
    assert use(at, token).code == "keys_unavailable"


@pytest.mark.parametrize(
    ("headers", "claims", "reason"),
    [
        pytest.param({"typ": "JWT"}, {}, "type", id="an id token"),
        pytest.param({}, {"key_id": None}, "key_id_missing", id="no key"),
        pytest.param({}, {"key_id": 7}, "claim_type", id="a key that is no text"),
        pytest.param({}, {"exp": NOW + 301}, "lifetime", id="too long"),
        pytest.param({}, {"consumer": "other"}, "key_of_another", id="another consumer"),
        pytest.param({"kid": "nobody"}, {}, "no_key", id="another signing key"),
    ],
)
def test_even_what_is_rightly_signed_is_not_believed_in_all(headers, claims, reason):
    at = token_gate()
    good = {
        "iss": GATEWAY, "aud": "email", "sub": "acme", "consumer": "acme", "iat": NOW, "exp": NOW + 60,
        "key_id": key_of("k1").id,
    }  # fmt: skip
    said = {name: value for name, value in {**good, **claims}.items() if value is not None}
    token = jwt.encode(said, FIRST.private, ALGORITHM, {"kid": FIRST.id, "typ": "at+jwt", **headers})

    assert use(at, token).status == 401
    assert at.gate.log_lines()[-1]["reason"] == reason


def test_an_issuer_of_the_configuration_names_no_key_of_ours():
    """Its `key_id` is a claim like any other."""
    at = token_gate(token_policy(jwt=[rsa_issuer()]))
    token = signed(key_id="000000000000")

    assert use(at, token).allowed


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"tokens": tokens(audiences=[])}, id="no audience"),
        pytest.param({"tokens": tokens(issuer="")}, id="no issuer"),
        pytest.param({"tokens": tokens(lifetime_seconds=301)}, id="long"),
        pytest.param({"tokens": tokens(lifetime_seconds=0)}, id="no lifetime"),
        pytest.param({"tokens": tokens(), "api_keys": None}, id="no keys"),
        pytest.param({"tokens": tokens(), "jwt": [rsa_issuer(issuer=GATEWAY)]}, id="twin"),
    ],
)
def test_a_policy_that_would_be_ambiguous_is_refused(changes):
    with pytest.raises(PolicyRejected):
        token_gate(key_policy(**changes))
