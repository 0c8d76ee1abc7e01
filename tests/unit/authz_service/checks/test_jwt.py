from typing import Any

import jwt as pyjwt
import pytest

from tests.support.authz import (
    AUDIENCE,
    NOW,
    claim_names,
    claims,
    ec_jwk,
    ec_key,
    gate,
    hmac_signed,
    jwks,
    policy,
    rsa_issuer,
    rsa_jwk,
    rsa_key,
    signed,
)


def test_the_claims_become_the_identity():
    answer = gate().present(signed(sub="ada", org="acme", plan="pro"))

    assert answer.headers == {
        "x-tollgate-subject": "ada",
        "x-tollgate-tenant": "acme",
        "x-tollgate-consumer": "ada",
        "x-tollgate-plan": "pro",
        "x-tollgate-key-id": "k1",
        "x-tollgate-models": "-",
        "x-tollgate-profile": "p1",
    }


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE]])
def test_one_of_the_audiences_is_enough(audience: object):
    assert gate().present(signed(aud=audience)).allowed


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_every_rsa_algorithm_that_the_issuer_names(algorithm: str):
    at = gate(policy(jwt=[rsa_issuer(algorithms=[algorithm])]))

    assert at.present(pyjwt.encode(claims(), rsa_key("k1"), algorithm, headers={"kid": "k1"})).allowed


def test_elliptic_curves():
    at = gate(policy(jwt=[rsa_issuer(algorithms=["ES256"], jwks=jwks(ec_jwk()))]))

    assert at.present(pyjwt.encode(claims(), ec_key(), "ES256")).part("key-id") == "e1"


def test_a_shared_secret_has_no_key_id():
    assert gate().present(hmac_signed()).part("key-id") == "-"


@pytest.mark.parametrize("times", [{"exp": NOW + 0.5}, {"iat": None}, {"nbf": NOW}, {"iat": NOW - 0.5}])
def test_dates_that_hold(times: dict[str, Any]):
    assert gate().present(signed(**times)).allowed


def test_claims_have_the_names_that_the_issuer_was_given():
    names = claim_names(subject="email", consumer="client_id", scopes="scp")
    at = gate(policy(jwt=[rsa_issuer(claims=names)]))
    answer = at.present(signed(email="a@b.c", client_id="app 1", scp=["x"]), scopes="x")

    assert (answer.part("subject"), answer.part("consumer")) == ("a@b.c", "app%201")


@pytest.mark.parametrize("forward", [True, False])
def test_the_upstream_sees_the_token_only_where_the_issuer_says_so(*, forward: bool):
    at = gate(policy(jwt=[rsa_issuer(forward=forward)]))

    assert at.present(signed()).removed == ([] if forward else ["authorization"])


def test_a_token_is_verified_once():
    at = gate()
    answers = [at.present(signed()) for _ in range(3)]

    assert [answer.headers for answer in answers[1:]] == [answers[0].headers] * 2
    assert at.count("tollgate_authz_token_cache_total", result="miss") == 1
    assert at.count("tollgate_authz_token_cache_total", result="hit") == 2


def test_a_remembered_token_expires_all_the_same():
    at = gate()
    token = signed(exp=NOW + 10)
    assert at.present(token).allowed
    at.clock.advance(10)

    assert at.present(token).code == "expired_token"


def test_a_refused_token_is_not_remembered():
    at = gate()
    token = signed(nbf=NOW + 5)
    assert at.present(token).code == "premature_token"
    at.clock.advance(5)

    assert at.present(token).allowed


def test_a_new_policy_forgets_every_verified_token():
    at = gate()
    assert at.present(signed()).allowed
    at.apply(policy(jwt=[rsa_issuer(jwks=jwks(rsa_jwk("k1", n=rsa_jwk("other")["n"])))]))

    assert at.present(signed()).code == "invalid_token"


def test_scopes_are_asked_of_a_remembered_token_too():
    at = gate()
    token = signed(scope="a")

    assert [at.present(token, scopes=scope).code for scope in ("a", "b", "a")] == ["ok", "missing_scope", "ok"]
