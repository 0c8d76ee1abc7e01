"""The endpoints as clients and verifiers meet them."""

import httpx
import jwt
import pytest

from service_kit.contract import API_KEY_TYPE
from tests.support.authz import NOW, PEPPER, Gate, api_key, key_of, key_policy, settings
from tests.support.tokens import FIRST, GATEWAY, SECOND, TokenGate, token_gate, token_policy

KEY = key_of("k1")
GRANT = {"grant_type": "client_credentials"}


async def test_a_token_for_a_key():
    at = token_gate()
    answer = await at.ask()

    assert (answer.status_code, answer.headers["cache-control"], answer.headers["pragma"]) == (
        200,
        "no-store",
        "no-cache",
    )
    found = answer.json()
    assert found.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (found["token_type"], found["expires_in"], found["scope"]) == ("Bearer", 300, "email.read email.send")
    assert at.gate.uses.taken() == {KEY.id: NOW}
    assert at.gate.count("tollgate_authz_token_requests_total", code="ok") == 1


async def test_the_log_says_who_got_a_token_and_never_the_token():
    at = token_gate()
    issued = await at.token()
    await at.ask(auth=(KEY.id, KEY.text[:-1] + "0"))
    done, refused = at.gate.log_lines()

    claims = jwt.decode(issued, options={"verify_signature": False})
    assert (done["outcome"], done["key_id"], done["consumer"], done["jti"], done["client"]) == (
        "issued", KEY.id, "acme", claims["jti"], "192.0.2.7"
    )  # fmt: skip
    assert (refused["outcome"], refused["code"], refused["reason"]) == ("refused", "invalid_client", "no_key")
    logged = at.gate.logged.getvalue()
    assert not any(secret in logged for secret in (issued, KEY.text, PEPPER.decode()))


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        pytest.param({"scope": "email.read"}, (200, "email.read"), id="fewer"),
        pytest.param({"scope": "email.send email.read"}, (200, "email.read email.send"), id="all"),
        pytest.param({"scope": "email.send admin"}, (400, "invalid_scope"), id="more"),
        pytest.param({"scope": "email"}, (400, "invalid_scope"), id="a beginning"),
    ],
)
async def test_scopes_are_narrowed_and_never_widened(form, expected):
    answer = await token_gate().ask(form)

    found = answer.json()
    assert (answer.status_code, found.get("scope") or found["error"]) == expected


async def test_a_key_without_scopes_gets_none():
    answer = await token_gate(token_policy(api_key())).ask()

    assert "scope" not in answer.json()
    assert (await token_gate(token_policy(api_key())).ask({"scope": "a"})).json()["error"] == "invalid_scope"


REFUSED = [
    pytest.param((KEY.id, key_of("unknown").text), "unknown_id", id="unknown"),
    pytest.param((KEY.id, KEY.text[:20] + key_of("k2").text[20:]), "no_key", id="check"),
    pytest.param((key_of("ended").id, key_of("ended").text), "expired", id="ended"),
    pytest.param((key_of("gone").id, key_of("gone").text), "unknown_consumer", id="of nobody"),
    pytest.param((key_of("k1").id, "password"), "no_key", id="no key"),
    pytest.param(("another", KEY.text), "other_client_id", id="another client"),
    pytest.param(("", ""), "unreadable_basic", id="empty"),
]


@pytest.mark.parametrize(("pair", "reason"), REFUSED)
async def test_what_is_wrong_with_a_client_is_one_answer(pair, reason):
    keys = (api_key(), api_key("ended", expires=NOW - 1), api_key("gone", consumer="nobody"))
    at = token_gate(token_policy(*keys))
    answer = await at.ask(auth=pair)

    assert (answer.status_code, answer.json()) == (
        401,
        {
            "error": "invalid_client",
            "error_description": "The API key is not accepted: check it, or ask for a new one.",
        },
    )
    assert answer.headers["www-authenticate"] == 'Basic realm="tollgate"'
    assert answer.headers["cache-control"] == "no-store"
    assert at.gate.log_lines()[-1]["reason"] == reason
    assert at.gate.uses.taken() == {}


async def test_who_authenticates_as_a_bearer_is_challenged_as_one():
    answer = await token_gate().ask(auth=None, headers={"authorization": "Bearer nonsense"})

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="tollgate"')


async def test_a_stored_key_is_a_key():
    at = token_gate(token_policy(declared_keys=[]))
    stored = api_key("stored", scopes=["a"])
    at.gate.authorizer.apply(API_KEY_TYPE, {stored.id: stored.SerializeToString()}, ())
    pair = ("acme", key_of("stored").text)

    assert (await at.ask(auth=pair)).json()["scope"] == "a"
    at.gate.authorizer.apply(API_KEY_TYPE, {}, [stored.id])
    assert (await at.ask(auth=pair)).json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("address", "mode", "status"),
    [
        pytest.param("192.0.2.7", False, 200, id="there"),
        pytest.param("::ffff:192.0.2.7", False, 200, id="there, in a longer form"),
        pytest.param("198.51.100.1", False, 400, id="elsewhere"),
        pytest.param("192.0.2.7, 198.51.100.1", False, 400, id="two"),
        pytest.param("", False, 400, id="nowhere"),
        pytest.param("198.51.100.1", True, 200, id="elsewhere, reported"),
    ],
)
async def test_a_key_is_exchanged_where_it_may_be_used(address, mode, status):
    message = token_policy(api_key(allow_ips=["192.0.2.0/24"]), api_keys=settings(report_addresses=mode))
    at = token_gate(message)
    async with at.client(address=address) as client:
        answer = await client.post("/oauth/token", data=GRANT, auth=(KEY.id, KEY.text))

    assert answer.status_code == status
    assert status == 200 or answer.json()["error"] == "unauthorized_client"
    if mode:
        assert at.gate.log_lines()[-1]["would_deny"] == ["address_not_allowed"]


async def test_a_form_is_bounded():
    answer = await token_gate().ask({"pad": "x" * 17_000})

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_what_is_published():
    at = token_gate()
    async with at.client() as client:
        keys = await client.get("/.well-known/jwks.json")
        document = await client.get("/.well-known/openid-configuration")

    assert {jwk["kid"] for jwk in keys.json()["keys"]} == {FIRST.id, SECOND.id}  # also of a moment to come
    assert not any("d" in jwk for jwk in keys.json()["keys"])
    assert keys.headers["cache-control"] == document.headers["cache-control"] == "public, max-age=300"
    assert document.json() == {
        "issuer": GATEWAY,
        "token_endpoint": f"{GATEWAY}/oauth/token",
        "jwks_uri": f"{GATEWAY}/.well-known/jwks.json",
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        pytest.param("GET", "/oauth/token", 405, "method_not_allowed", id="get a token"),
        pytest.param("POST", "/.well-known/jwks.json", 405, "method_not_allowed", id="post keys"),
        pytest.param("GET", "/oauth/authorize", 404, "route_not_found", id="no such"),
    ],
)
async def test_other_requests_get_an_error_of_the_gateway(method, path, status, code):
    async with token_gate().client() as client:
        answer = await client.request(method, path)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert error["request_id"].startswith("r-")
    assert status == 404 or answer.headers["allow"]


@pytest.mark.parametrize(
    ("found", "listener"),
    [
        pytest.param(TokenGate(Gate()), "public", id="no policy"),
        pytest.param(TokenGate(Gate().apply(key_policy())), "public", id="no tokens"),
        pytest.param(token_gate(), "internal", id="another listener"),
        pytest.param(token_gate(), "", id="no listener"),
    ],
)
async def test_where_no_tokens_are_issued_there_is_nothing(found, listener):
    async with found.client(listener=listener) as client:
        answers = [
            await client.post("/oauth/token", data=GRANT, auth=(KEY.id, KEY.text)),
            await client.get("/.well-known/jwks.json"),
            await client.get("/.well-known/openid-configuration"),
        ]

    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [
        (404, "route_not_found")
    ] * 3


async def test_two_listeners_are_none():
    async with token_gate().client() as client:
        headers = httpx.Headers([("x-tollgate-listener", "public"), ("x-tollgate-listener", "public")])
        client.headers.pop("x-tollgate-listener")
        assert (await client.get("/.well-known/jwks.json", headers=headers)).status_code == 404


async def test_before_there_is_a_signing_key_clients_are_told_to_come_again():
    at = token_gate()
    at.sign_with()
    answer = await at.ask()
    async with at.client() as client:
        keys = await client.get("/.well-known/jwks.json")

    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert (keys.status_code, keys.headers["cache-control"]) == (503, "no-store")
