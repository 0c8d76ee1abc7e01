import pytest

from tests.support.authz import BEARER, ROUTE, api_key, check_request, gate, key_of, key_policy, settings, signed
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb


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


KEY = key_of("k1").text
MTLS = policy_pb.MtlsSettings(
    subject="CERTIFICATE_NAME_SPIFFE", clients=[policy_pb.MtlsClient(name="spiffe://a/b", consumer="acme")]
)


@pytest.mark.parametrize(
    ("headers", "path", "removed", "changed"),
    [
        pytest.param([("x-api-key", KEY)], "/", ["x-api-key"], {}, id="a-header"),
        pytest.param([("authorization", f"bearer {KEY}")], "/", ["authorization"], {}, id="authorization"),
        pytest.param([], f"/a?b&api_key={KEY}&c", [], {":path": "/a?b&c"}, id="query"),
        pytest.param([("cookie", f"tollgate_key={KEY}; b=1")], "/", [], {"cookie": "b=1"}, id="a-cookie"),
        pytest.param([("cookie", f"tollgate_key={KEY}")], "/", ["cookie"], {}, id="the-only-cookie"),
    ],
)
@pytest.mark.parametrize("forward", [True, False])
def test_the_upstream_gets_no_key_unless_it_should(
    headers: list[tuple[str, str]], path: str, removed: list[str], changed: dict[str, str], *, forward: bool
):
    at = gate(key_policy(api_key(), api_keys=settings(forward=forward)))
    answer = at.answer(check_request(headers, {**ROUTE, "accept": "api_key"}, path=path))

    assert answer.allowed
    others = {name: value for name, value in answer.headers.items() if not name.startswith("x-tollgate-")}
    assert (answer.removed, others) == (([], {}) if forward else (removed, changed))


def test_a_key_in_authorization_is_one_where_keys_are_looked_for_there():
    at = gate(key_policy(api_key(), api_keys=settings(headers=["x-api-key"])))

    assert at.present(KEY, accept="api_key").code == "credential_not_accepted"
    assert at.present(KEY, accept="bearer").code == "unknown_token"


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        pytest.param([("x-api-key", KEY), ("authorization", f"Bearer {BEARER}")], "/", id="two-kinds"),
        pytest.param([("x-api-key", KEY), ("authorization", "Basic x")], "/", id="another-scheme"),
        pytest.param([("x-api-key", f"{KEY},")], "/", id="joined-with-an-empty-one"),
        pytest.param([("x-api-key", KEY)], "/?api_key=", id="an-empty-parameter"),
        pytest.param([("x-api-key", KEY), ("cookie", "tollgate_key")], "/", id="a-cookie-without-a-value"),
    ],
)
@pytest.mark.parametrize("accept", ["api_key", "api_key bearer", "bearer", "bearer anonymous"])
def test_two_places_are_two_credentials_on_every_route(headers: list[tuple[str, str]], path: str, accept: str):
    at = gate(key_policy(api_key()))

    assert at.answer(check_request(headers, {**ROUTE, "accept": accept}, path=path)).code == "ambiguous_credentials"


def test_nobody_passes_where_nobody_may_and_no_wrong_credential_does():
    at = gate(key_policy(api_key(), default_plan="free"))
    nobody = at.use("", accept="api_key anonymous")

    assert {part: nobody.part(part) for part in ("subject", "consumer", "plan", "tenant", "key-id")} == {
        "subject": "anonymous", "consumer": "anonymous", "plan": "free", "tenant": "-", "key-id": "-",
    }  # fmt: skip
    assert at.log_lines()[-1]["kind"] == "anonymous"
    assert at.use("wrong", accept="api_key anonymous").code == "unknown_api_key"
    assert at.present("x", accept="api_key anonymous").code == "credential_not_accepted"
    assert at.use("", accept="api_key").code == "missing_credential"


def test_nobody_has_no_name_of_somebody():
    at = gate(key_policy(consumers=[policy_pb.Consumer(name="anonymous", plan="pro")]))
    nobody = at.use("", accept="api_key anonymous")

    assert (nobody.part("consumer"), nobody.part("plan")) == ("-", "-")


@pytest.mark.parametrize(
    ("accept", "headers", "challenge", "told"),
    [
        ("jwt", ["x-api-key"], 'Bearer realm="tollgate"', "send `Authorization: Bearer TOKEN`"),
        ("api_key", ["x-api-key"], 'ApiKey realm="tollgate", header="x-api-key"', "send `X-Api-Key: KEY`"),
        ("api_key", ["authorization"], 'Bearer realm="tollgate"', "send `Authorization: Bearer KEY`"),
        ("api_key", [], 'ApiKey realm="tollgate"', "send the key as `?api_key=KEY`"),
        ("api_key bearer", ["x-api-key"], 'Bearer realm="tollgate"', "TOKEN` or send `X-Api-Key: KEY`"),
        ("mtls", ["x-api-key"], 'Certificate realm="tollgate"', "connect with a client certificate"),
    ],
)
def test_the_challenge_says_what_the_route_takes(accept: str, headers: list[str], challenge: str, told: str):
    at = gate(key_policy(api_keys=settings(headers=headers), mtls=MTLS))
    answer = at.use("", accept=accept)

    assert (answer.code, answer.headers["www-authenticate"]) == ("missing_credential", challenge)
    assert told in answer.error["message"]
