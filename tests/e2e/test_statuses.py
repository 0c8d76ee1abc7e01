"""Every status the gateway itself answers with, in the one JSON shape, through the real Envoy."""

import socket

import httpx
import pytest

from tests.e2e.conftest import token_with
from tests.support.gateway import Gateway


def error_of(response: httpx.Response) -> tuple[int, str]:
    """Status and code of an error whose shape and request id are as promised."""
    assert response.headers["content-type"] == "application/json"
    error = response.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["message"]
    assert error["request_id"] == response.headers["x-request-id"]
    return response.status_code, error["code"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        pytest.param("GET", "/private/x", {}, (401, "missing_credential"), id="no credential"),
        pytest.param("GET", "/private/x", {"authorization": "Basic eDp5"}, (401, "malformed_credential"), id="basic"),
        pytest.param("GET", "/private/x", {"authorization": "Bearer wrong"}, (401, "unknown_token"), id="wrong token"),
        pytest.param("GET", "/nowhere", {}, (404, "route_not_found"), id="no route"),
        pytest.param("POST", "/exact", {}, (404, "route_not_found"), id="no route for the method"),
        pytest.param("GET", "/privatex", {}, (404, "route_not_found"), id="prefix ends at a segment"),
        pytest.param("GET", "/dead", {}, (502, "upstream_unreachable"), id="refused connection"),
        pytest.param("GET", "/deaf", {}, (504, "upstream_timeout"), id="connection not accepted in time"),
        pytest.param("GET", "/silent/5", {}, (504, "upstream_timeout"), id="answer too late"),
        pytest.param("GET", "/idle/5", {}, (504, "idle_timeout"), id="silence"),
        pytest.param("GET", "/brief/silent/5", {}, (504, "stream_timeout"), id="longest duration"),
        pytest.param("GET", "/slow-start/5", {}, (504, "upstream_timeout"), id="first byte too late"),
    ],
)
def test_errors_have_one_shape(gateway: Gateway, method, path, headers, expected):
    with gateway.client() as client:
        response = client.request(method, path, headers=headers)

    assert error_of(response) == expected


def test_401_says_how_to_authenticate(gateway: Gateway):
    with gateway.client() as client:
        missing = client.get("/private/x")
        invalid = client.get("/private/x", headers={"authorization": f"Bearer {token_with(exp=1)}"})

    assert missing.headers["www-authenticate"] == 'Bearer realm="tollgate"'
    assert 'error="invalid_token"' in invalid.headers["www-authenticate"]


def test_403_says_what_is_missing(gateway: Gateway, bearer):
    with gateway.client() as client:
        scope = client.get("/scoped/x", headers={"authorization": f"Bearer {token_with(scope='email.sender')}"})
        role = client.get("/forbidden", headers=bearer)

    assert error_of(scope)[0] == 403
    assert "email.send" in scope.json()["error"]["message"]
    assert 'scope="email.send"' in scope.headers["www-authenticate"]
    assert error_of(role)[0] == 403
    assert "admin" in role.json()["error"]["message"]


def test_a_plan_that_is_not_declared_is_403(gateway: Gateway):
    with gateway.client() as client:
        response = client.get("/private/x", headers={"authorization": f"Bearer {token_with(plan='gold')}"})

    assert error_of(response) == (403, "unknown_plan")


@pytest.mark.parametrize(
    ("path", "size", "expected"),
    [
        pytest.param("/note", 1024, 200, id="at a small limit"),
        pytest.param("/note", 1025, 413, id="above a small limit"),
        pytest.param("/public/x", 8 * 2**20, 200, id="at the default limit"),
        pytest.param("/public/x", 8 * 2**20 + 1, 413, id="above the default limit"),
        pytest.param("/big", 12 * 2**20, 200, id="below a large limit"),
        pytest.param("/private/x", 8 * 2**20 + 1, 413, id="before authorization, so that nothing stalls"),
    ],
)
def test_413_at_the_size_the_route_names(gateway: Gateway, path, size, expected):
    with gateway.client(headers={"expect": "100-continue"} if expected == 413 else {}) as client:
        response = client.post(path, content=b"x" * size)

    assert response.status_code == expected
    if expected == 413:
        assert error_of(response) == (413, "payload_too_large")


def test_413_for_a_chunked_body_that_grows_too_long(gateway: Gateway):
    with gateway.client() as client:
        response = client.post("/note", content=(b"x" * 100 for _ in range(20)))

    assert error_of(response) == (413, "payload_too_large")


def test_429_when_an_address_has_used_up_its_limit(gateway: Gateway):
    with gateway.client() as client:
        answers = [client.get("/per-address") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[0].headers["ratelimit-limit"] == "2"
    assert error_of(answers[2]) == (429, "rate_limited")
    assert 0 < int(answers[2].headers["retry-after"]) <= 3600 * 1.05
    assert "2 requests per hour" in answers[2].json()["error"]["message"]
    assert gateway.logged(answers[2].headers["x-request-id"])["limit"] == "route/per-address:hour:ip"


def test_a_plans_limit_counts_its_subject_on_every_route(gateway: Gateway):
    lost = {"authorization": "Bearer a-bearer-token-with-a-plan"}
    with gateway.client() as client:
        answers = [client.get(path, headers=lost) for path in ("/private/a", "/private/b", "/private/c", "/private/d")]
        other = client.get("/private/a", headers={"authorization": f"Bearer {token_with(plan='small', sub='bob')}"})

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert error_of(answers[3]) == (429, "rate_limited")
    assert other.status_code == 200


def test_answers_of_the_upstream_are_not_touched(gateway: Gateway):
    with gateway.client() as client:
        answers = {code: client.get(f"/status/{code}") for code in (400, 401, 404, 429, 500, 503)}

    assert {code: answer.status_code for code, answer in answers.items()} == {code: code for code in answers}
    assert all(answer.json() == {"from": "upstream"} for answer in answers.values())


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /public/..%2fadmin HTTP/1.1\r\nhost: x\r\n\r\n", id="escaped slash"),
        pytest.param(b"GET /public/..%5cadmin HTTP/1.1\r\nhost: x\r\n\r\n", id="escaped backslash"),
        pytest.param(b"GET /public/x HTTP/1.1\r\nhost: x\r\nx_tollgate_subject: a\r\n\r\n", id="underscore header"),
        pytest.param(b"GET /public/x HTTP/1.1\r\nhost: x\r\na: \x00b\r\n\r\n", id="NUL in a header"),
        pytest.param(b"GET /public/x HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"NONSENSE\r\n\r\n", id="no request line"),
    ],
)
def test_400_for_what_could_be_read_in_two_ways(gateway: Gateway, head):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(head)
        answer = connection.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"bad_request"' in answer


def test_431_for_headers_that_are_too_large(gateway: Gateway):
    with gateway.client() as client:
        response = client.get("/public/x", headers={"x-large": "a" * 70_000})

    assert response.status_code == 431
    assert response.json()["error"]["code"] == "headers_too_large"
