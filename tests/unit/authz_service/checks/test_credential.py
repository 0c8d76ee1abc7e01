import pytest

from tests.support.authz import BEARER, check_request, gate, signed


def test_no_credential_is_told_what_to_send():
    answer = gate().ask()

    assert (answer.status, answer.code) == (401, "missing_credential")
    assert answer.headers["www-authenticate"] == 'Bearer realm="tollgate"'
    assert "Authorization: Bearer" in answer.error["message"]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([f"Bearer {BEARER}", f"Bearer {BEARER}"], id="the-same-twice"),
        pytest.param([f"Bearer {BEARER}", "Basic YTpi"], id="two-schemes"),
        pytest.param([f"Bearer {BEARER}", ""], id="one-empty"),
        pytest.param([f"Bearer {BEARER},Bearer {BEARER}"], id="joined-by-envoy"),
        pytest.param([f"Bearer {BEARER}, Basic YTpi"], id="joined-by-a-proxy"),
        pytest.param([f"Bearer {BEARER},"], id="joined-with-an-empty-one"),
    ],
)
def test_two_credentials_are_refused_and_not_ranked(values: list[str]):
    answer = gate().ask(*values)

    assert (answer.status, answer.code) == (400, "ambiguous_credentials")


def test_repeated_headers_in_different_case_are_two_credentials():
    headers = [("authorization", f"Bearer {BEARER}"), ("Authorization", f"Bearer {BEARER}")]

    assert gate().answer(check_request(headers)).code == "ambiguous_credentials"


@pytest.mark.parametrize(
    ("token", "accept", "code"),
    [
        pytest.param(lambda: BEARER, "bearer", "ok", id="bearer-accepted"),
        pytest.param(lambda: BEARER, "jwt", "credential_not_accepted", id="bearer-refused"),
        pytest.param(signed, "jwt", "ok", id="jwt-accepted"),
        pytest.param(signed, "bearer", "credential_not_accepted", id="jwt-refused"),
        pytest.param(lambda: "one.dot", "bearer", "unknown_token", id="one-dot-is-a-bearer-token"),
        pytest.param(lambda: "a.b.c.d", "bearer", "unknown_token", id="three-dots-are-a-bearer-token"),
        pytest.param(lambda: "a.b.c", "bearer", "credential_not_accepted", id="two-dots-are-a-jwt"),
    ],
)
def test_the_route_chooses_the_kinds_of_credential(token, accept: str, code: str):
    assert gate().present(token(), accept=accept).code == code


@pytest.mark.parametrize(("size", "code"), [(8192, "unknown_token"), (8193, "malformed_credential")])
def test_a_credential_has_a_longest_size(size: int, code: str):
    assert gate().present("x" * size).code == code
