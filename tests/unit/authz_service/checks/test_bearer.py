import pytest

from tests.support.authz import BEARER, bearer, gate, policy


def test_the_token_becomes_the_identity_it_stands_for():
    fields = {"subject": "zoë", "tenant": "acme", "consumer": "ci", "plan": "pro"}
    answer = gate(policy(bearer_tokens=[bearer("deploy", **fields)])).present(BEARER)

    assert answer.headers == {
        "x-tollgate-subject": "zo%C3%AB",
        "x-tollgate-tenant": "acme",
        "x-tollgate-consumer": "ci",
        "x-tollgate-plan": "pro",
        "x-tollgate-key-id": "deploy",
        "x-tollgate-models": "-",
        "x-tollgate-profile": "p1",
    }


@pytest.mark.parametrize("token", [BEARER[:-1], BEARER + "x", BEARER.upper(), BEARER + "=", "x"])
def test_only_the_very_token_is_known(token: str):
    answer = gate().present(token)

    assert (answer.status, answer.code) == (401, "unknown_token")
    assert answer.headers["www-authenticate"] == 'Bearer realm="tollgate", error="invalid_token"'


@pytest.mark.parametrize("forward", [True, False])
def test_the_upstream_sees_the_token_only_where_it_says_so(*, forward: bool):
    at = gate(policy(bearer_tokens=[bearer(forward=forward)]))

    assert at.present(BEARER).removed == ([] if forward else ["authorization"])


def test_a_token_that_left_the_policy_stops_working():
    at = gate()
    assert at.present(BEARER).allowed
    at.apply(policy(bearer_tokens=[]))

    assert at.present(BEARER).code == "unknown_token"
