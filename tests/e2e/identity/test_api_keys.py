"""API keys through the real Envoy: where they are looked for, and what of them goes on."""

import httpx
import pytest

from tests.e2e.identity.conftest import PROXIED, TOKEN, Front, refused, seen


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param("/keys/x", {"x-api-key": "{}"}, id="a header of its own"),
        pytest.param("/keys/x", {"authorization": "Bearer {}"}, id="authorization"),
        pytest.param("/keys/x?api_key={}", {}, id="a query parameter"),
        pytest.param("/keys/x?api%5Fkey={}", {}, id="the parameter in another spelling"),
        pytest.param("/keys/x", {"cookie": "tollgate_key={}"}, id="a cookie"),
        pytest.param("/keys/x", {"cookie": 'theme=dark; tollgate_key="{}"'}, id="a cookie in quotes"),
    ],
)
def test_a_key_opens_and_goes_no_further(front: Front, path: str, headers: dict[str, str]):
    key = front.keys["good"]
    response = front.get(
        path.format(key.text), headers={name: value.format(key.text) for name, value in headers.items()}
    )

    told = seen(response)
    assert {name: told[f"x-tollgate-{name}"] for name in ("subject", "tenant", "consumer", "plan", "key-id")} == {
        "subject": "acme", "tenant": "acme-inc", "consumer": "acme", "plan": "free", "key-id": key.id,
    }  # fmt: skip
    row = front.gateway.logged(response.headers["x-request-id"])
    assert key.text not in response.text
    assert key.text not in str(row)
    assert (row["key_id"], row["path"]) == (key.id, "/keys/x")


def test_the_rest_of_the_query_stays_as_it_was(front: Front):
    query = f"z=1&flag&a=%20x&api_key={front.key('good')}&z=0&&=e"
    response = front.get(f"/keys/x?{query}")

    assert seen(response)
    assert response.json()["query"] == "z=1&flag&a=%20x&z=0&&=e"


def test_the_rest_of_the_cookies_stays_as_it_was(front: Front):
    cookies = f"a=1; tollgate_key={front.key('good')}; b=é".encode()
    response = front.get("/keys/x", headers=[(b"cookie", cookies)])

    assert seen(response)["cookie"].encode("latin-1").decode() == "a=1; b=é"


def test_a_redirect_does_not_hand_the_key_on(front: Front):
    response = front.get(f"/moved?api_key={front.key('good')}&a=1")

    assert response.status_code in (301, 302, 307, 308)
    assert response.headers["location"].partition("?")[2] == "a=1"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param("/any/x", [("x-api-key", "{}"), ("authorization", f"Bearer {TOKEN}")], id="a token beside"),
        pytest.param("/any/x", [("x-api-key", "{}"), ("x-api-key", "{}")], id="the same twice"),
        pytest.param("/any/x", [("x-api-key", "{},{}")], id="joined"),
        pytest.param("/any/x?api_key={}", [("x-api-key", "{}")], id="header and query"),
        pytest.param("/any/x?api_key={}&api_key={}", [], id="the parameter twice"),
        pytest.param("/any/x?api_key={}&api%5fkey=x", [], id="the parameter in two spellings"),
        pytest.param("/any/x", [("cookie", "tollgate_key={}; tollgate_key=x")], id="the cookie twice"),
        pytest.param("/any/x", [("cookie", "tollgate_key={}"), ("cookie", "tollgate_key=x")], id="two cookie headers"),
        pytest.param("/tokens", [("x-api-key", "x"), ("authorization", f"Bearer {TOKEN}")], id="on any route"),
        pytest.param("/open", [("x-api-key", "{}"), ("authorization", f"Bearer {TOKEN}")], id="where none is needed"),
    ],
)
def test_two_credentials_are_refused(front: Front, path: str, headers: list[tuple[str, str]]):
    key = front.key("good")
    response = front.get(path.replace("{}", key), headers=[(name, value.replace("{}", key)) for name, value in headers])

    assert refused(response) == (400, "ambiguous_credentials")


def test_what_is_no_good_key_gets_one_answer(front: Front):
    good = front.key("good")
    wrong = (
        "nonsense",
        "",
        front.key("expired"),
        good[:-1] + "x",
        good.upper(),
        f"{good[:17]}{front.key('other')[17:]}",
    )
    answers = [front.get("/keys/x", headers={"x-api-key": text}) for text in wrong]

    assert {refused(answer) for answer in answers} == {(401, "unknown_api_key")}
    assert len({answer.json()["error"]["message"] for answer in answers}) == 1
    assert {answer.headers["www-authenticate"] for answer in answers} == {
        'ApiKey realm="tollgate", header="x-api-key", error="invalid_token"'
    }


@pytest.mark.parametrize(
    ("path", "challenge"),
    [
        pytest.param("/keys/x", 'ApiKey realm="tollgate", header="x-api-key"', id="keys alone"),
        pytest.param("/any/x", 'Bearer realm="tollgate"', id="keys and tokens"),
        pytest.param("/certified", 'Certificate realm="tollgate"', id="certificates alone"),
    ],
)
def test_the_challenge_fits_the_route(front: Front, path: str, challenge: str):
    response = front.get(path)

    assert refused(response) == (401, "missing_credential")
    assert response.headers["www-authenticate"] == challenge


@pytest.mark.parametrize(
    ("key", "listener", "forwarded", "status"),
    [
        pytest.param("local", "plain", None, 200, id="a network of its own"),
        pytest.param("elsewhere", "plain", None, 403, id="another network"),
        pytest.param("elsewhere", "plain", "203.0.113.7", 403, id="an address that a client claims"),
        pytest.param("behind", PROXIED, "203.0.113.7", 200, id="an address that a trusted proxy tells"),
        pytest.param("behind", PROXIED, "203.0.113.7, 203.0.113.8", 403, id="the last address before the proxies"),
        pytest.param("local", PROXIED, "203.0.113.7", 403, id="the client's address and not the proxy's"),
        pytest.param("local", PROXIED, None, 200, id="the proxy itself"),
    ],
)
def test_a_key_works_from_its_networks_alone(front: Front, key: str, listener: str, forwarded: str | None, status: int):
    headers = {"x-api-key": front.key(key)} | ({} if forwarded is None else {"x-forwarded-for": forwarded})
    response = front.get("/keys/x", listener=listener, headers=headers)

    assert response.status_code == status
    if status == 403:
        assert refused(response) == (403, "address_not_allowed")


@pytest.mark.parametrize(
    ("path", "key", "answer"),
    [
        pytest.param("/scoped", "scoped", None, id="scopes and roles of the key"),
        pytest.param("/scoped", "good", (403, "missing_scope"), id="none of the consumer's"),
        pytest.param("/gold", "gold", None, id="the key's own plan"),
        pytest.param("/gold", "other", None, id="the consumer's plan"),
        pytest.param("/gold", "good", (403, "missing_plan"), id="the default plan"),
    ],
)
def test_permissions_are_the_keys_own(front: Front, path: str, key: str, answer: tuple[int, str] | None):
    response = front.get(path, headers={"x-api-key": front.key(key)})

    assert (None if response.status_code == 200 else refused(response)) == answer


def test_a_public_route_looks_at_no_key(front: Front):
    assert seen(front.get("/public", headers={"x-api-key": "whatever"}))["x-api-key"] == "whatever"


def test_without_a_key_where_one_may_be(front: Front):
    nobody, somebody = front.get("/open"), front.get("/open", headers={"x-api-key": front.key("good")})

    assert (seen(nobody)["x-tollgate-subject"], seen(nobody)["x-tollgate-plan"]) == ("anonymous", "free")
    assert seen(somebody)["x-tollgate-subject"] == "acme"
    assert refused(front.get("/open", headers={"x-api-key": "wrong"})) == (401, "unknown_api_key")
    assert refused(front.get("/open", headers={"authorization": f"Bearer {TOKEN}"})) == (401, "credential_not_accepted")


def decision(front: Front, response: httpx.Response) -> dict:
    """The access log's row of a request."""
    return front.gateway.logged(response.headers["x-request-id"])


def test_a_refusal_can_be_found_again(front: Front):
    response = front.get("/keys/x")
    row = decision(front, response)

    assert row["decision"] == response.headers["x-tollgate-decision-id"]
    assert f'"decision_id":"{row["decision"]}"' in front.gateway.log("authz").replace('": "', '":"')


def test_what_is_only_reported_passes_and_is_told(front: Front):
    response = front.get("/tried", headers={"x-api-key": front.key("good")})
    row = decision(front, response)

    assert seen(response)
    assert (row["would_deny"], row["status"]) == ("missing_plan missing_scope", 200)
    assert "x-tollgate-decision-id" not in response.headers
    assert decision(front, front.get("/tried", headers={"x-api-key": "wrong"}))["status"] == 401
