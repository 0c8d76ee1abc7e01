from typing import Any

import pytest

from authz_service.policy import parse_policy
from service_kit.subscription import PolicyRejected
from tests.support.authz import SECRET, bearer, claim_names, hmac_issuer, jwks, policy, rsa_issuer, rsa_jwk
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb


def test_an_empty_policy_knows_nobody():
    parsed = parse_policy(b"")

    assert (parsed.issuers, parsed.bearers, parsed.consumers, parsed.plans) == ({}, {}, {}, frozenset())


def test_a_bearer_token_speaks_for_itself_where_nothing_else_is_said():
    (grant,) = parse_policy(policy(bearer_tokens=[bearer("ci")]).SerializeToString()).bearers.values()

    assert (grant.subject, grant.consumer, grant.key_id) == ("ci", "ci", "ci")


def test_a_bearer_tokens_subject_is_its_consumer_where_none_is_named():
    (grant,) = parse_policy(policy(bearer_tokens=[bearer("ci", subject="ada")]).SerializeToString()).bearers.values()

    assert (grant.subject, grant.consumer, grant.key_id) == ("ada", "ada", "ci")


REJECTED = [
    pytest.param({"jwt": [rsa_issuer(), rsa_issuer(issuer="x")]}, "name 'accounts' is there twice", id="issuer-name"),
    pytest.param({"jwt": [rsa_issuer(), rsa_issuer(name="x")]}, "is there twice", id="issuer-twice"),
    pytest.param({"jwt": [rsa_issuer(issuer="")]}, "needs a name and an issuer", id="issuer-empty"),
    pytest.param({"jwt": [rsa_issuer(audiences=[])]}, "names no audience", id="no-audience"),
    pytest.param({"jwt": [rsa_issuer(audiences=[""])]}, "names no audience", id="empty-audience"),
    pytest.param({"jwt": [rsa_issuer(algorithms=[])]}, "names no algorithm", id="no-algorithm"),
    pytest.param({"jwt": [rsa_issuer(algorithms=["none"])]}, "asymmetric algorithms only", id="algorithm-none"),
    pytest.param({"jwt": [rsa_issuer(algorithms=["RS256", "HS256"])]}, "asymmetric", id="algorithms-mixed"),
    pytest.param({"jwt": [hmac_issuer(algorithms=["RS256"])]}, "a secret serves", id="algorithm-of-another-key"),
    pytest.param({"jwt": [hmac_issuer(secret=b"short")]}, "5 bytes", id="short-secret"),
    pytest.param({"jwt": [hmac_issuer(secret=b"")]}, "0 bytes", id="empty-secret"),
    pytest.param({"jwt": [rsa_issuer(jwks="")]}, "no JSON object", id="empty-jwks"),
    pytest.param({"jwt": [policy_pb.JwtIssuer()]}, "needs a name", id="empty-issuer"),
    pytest.param({"jwt": [rsa_issuer(claims=claim_names(subject=""))]}, "no claim for the subject", id="no-subject"),
    pytest.param({"jwt": [rsa_issuer(leeway_seconds=61)]}, "leeway of 61 s", id="leeway"),
    pytest.param({"bearer_tokens": [bearer(), bearer(token="x")]}, "'default' is there twice", id="bearer-name"),
    pytest.param({"bearer_tokens": [bearer(), bearer("x")]}, "same secret", id="bearer-secret"),
    pytest.param({"bearer_tokens": [policy_pb.BearerToken(name="x", sha256=b"x")]}, "no SHA-256", id="bearer-digest"),
    pytest.param({"bearer_tokens": [bearer("")]}, "name is empty", id="bearer-unnamed"),
    pytest.param({"bearer_tokens": [bearer(subject="-")]}, "subject of .* is '-'", id="bearer-subject"),
    pytest.param({"bearer_tokens": [bearer(tenant="x" * 257)]}, "tenant of .* is longer", id="bearer-tenant"),
    pytest.param({"consumers": [policy_pb.Consumer(name="a")] * 2}, "'a' is there twice", id="consumer-twice"),
    pytest.param({"consumers": [policy_pb.Consumer()]}, "is empty", id="consumer-unnamed"),
    pytest.param({"consumers": [policy_pb.Consumer(name="a", plan="-")]}, "plan of consumer", id="consumer-plan"),
    pytest.param({"plans": ["a", "a"]}, "'a' is there twice", id="plan-twice"),
    pytest.param({"plans": ["-"]}, "a plan's name", id="plan-poses-as-missing"),
    pytest.param({"default_plan": "gold"}, "not among the plans", id="default-plan"),
]


@pytest.mark.parametrize(("changes", "reason"), REJECTED)
def test_a_policy_that_cannot_be_used_is_rejected(changes: dict[str, Any], reason: str):
    with pytest.raises(PolicyRejected, match=reason):
        parse_policy(policy(**changes).SerializeToString())


def test_an_issuer_without_keys_is_rejected():
    message = policy()
    message.jwt[0].ClearField("jwks")

    with pytest.raises(PolicyRejected, match="has no keys"):
        parse_policy(message.SerializeToString())


def test_bytes_of_something_else_are_rejected():
    with pytest.raises(PolicyRejected, match="no AuthzPolicy"):
        parse_policy(b"\xff\xff")


# Field 100, a text: what a newer control plane might say.
NEWER = b"\xa2\x06\x01x"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(NEWER, id="policy"),
        pytest.param(b"\x0a" + bytes([len(NEWER)]) + NEWER, id="issuer"),
        pytest.param(b"\x0a" + bytes([len(NEWER) + 2]) + b"\x3a" + bytes([len(NEWER)]) + NEWER, id="claims"),
    ],
)
def test_a_rule_that_this_process_does_not_know_is_rejected(data: bytes):
    with pytest.raises(PolicyRejected, match="upgrade it first"):
        parse_policy(data)


def test_no_rejection_quotes_a_secret():
    marked = "MARK-of-a-secret-that-must-not-show-anywhere"
    broken = [
        hmac_issuer(secret=marked[:20].encode()),
        rsa_issuer(jwks=jwks({"kty": "oct", "k": marked})),
        rsa_issuer(jwks=jwks(rsa_jwk(n=marked + "!"))),
        rsa_issuer(jwks=jwks(rsa_jwk(n=marked))),
        rsa_issuer(jwks=marked),
    ]
    for issuer in broken:
        with pytest.raises(PolicyRejected) as rejected:
            parse_policy(policy(jwt=[issuer]).SerializeToString())
        assert "MARK" not in str(rejected.value)


def test_no_secret_shows_in_the_repr_of_a_policy():
    assert SECRET.decode() not in repr(parse_policy(policy().SerializeToString()))
