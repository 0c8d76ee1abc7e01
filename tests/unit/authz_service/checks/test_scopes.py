import pytest

from tests.support.authz import BEARER, bearer, gate, policy, signed


@pytest.mark.parametrize(
    ("held", "demanded", "code"),
    [
        pytest.param("email.send", "email.send", "ok", id="held"),
        pytest.param("email.read email.send", "email.send", "ok", id="among-others"),
        pytest.param(["email.send"], "email.send", "ok", id="in-a-list"),
        pytest.param("a b", "b a", "ok", id="all-of-several"),
        pytest.param("a", "a b", "missing_scope", id="one-of-several"),
        pytest.param("email.sender", "email.send", "missing_scope", id="longer"),
        pytest.param("email", "email.send", "missing_scope", id="prefix"),
        pytest.param("EMAIL.SEND", "email.send", "missing_scope", id="case"),
        pytest.param("email.*", "email.send", "missing_scope", id="no-wildcards"),
        pytest.param(["email.send email.read"], "email.send", "missing_scope", id="one-element-with-a-space"),
        pytest.param("email.send,email.read", "email.send", "missing_scope", id="commas"),
        pytest.param(None, "email.send", "missing_scope", id="none"),
        pytest.param(None, "", "ok", id="none-demanded"),
    ],
)
def test_every_scope_of_the_route_is_demanded_by_element(held: object, demanded: str, code: str):
    assert gate().present(signed(scope=held), scopes=demanded).code == code


def test_the_refusal_says_what_is_missing():
    answer = gate(policy(bearer_tokens=[bearer(scopes=["a"])])).present(BEARER, scopes="a b c")

    assert answer.status == 403
    assert "lacks b c:" in answer.error["message"]
    assert answer.headers["www-authenticate"] == 'Bearer realm="tollgate", error="insufficient_scope", scope="a b c"'
