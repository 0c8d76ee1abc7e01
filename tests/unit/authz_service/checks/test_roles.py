import pytest

from tests.support.authz import BEARER, bearer, gate, policy, signed


@pytest.mark.parametrize(
    ("held", "demanded", "code"),
    [
        pytest.param(["user"], "user", "ok", id="held"),
        pytest.param(["user"], "admin user", "ok", id="any-of-several"),
        pytest.param("guest user", "user", "ok", id="in-a-text"),
        pytest.param(["users"], "user", "missing_role", id="longer"),
        pytest.param(["guest"], "admin user", "missing_role", id="another"),
        pytest.param(None, "user", "missing_role", id="none"),
        pytest.param(None, "", "ok", id="none-demanded"),
    ],
)
def test_any_role_of_the_route_is_enough(held: object, demanded: str, code: str):
    assert gate().present(signed(roles=held), roles=demanded).code == code


def test_the_refusal_says_what_is_missing():
    answer = gate(policy(bearer_tokens=[bearer(roles=["guest"])])).present(BEARER, roles="admin user")

    assert answer.status == 403
    assert "admin or user" in answer.error["message"]
    assert "www-authenticate" not in answer.headers


def test_scopes_are_asked_before_roles():
    assert gate().present(BEARER, scopes="a", roles="admin").code == "missing_scope"
