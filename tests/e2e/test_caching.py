"""Kept answers, through the whole gateway: whose they are, how long, and what judges those who get them."""

import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.conftest import TOKEN
from tests.support.gateway import Gateway, running_gateway
from tests.support.upstream import Upstream


@pytest.fixture(scope="module")
def caching(upstream: Upstream) -> Iterator[Gateway]:
    """One gateway for tests that use other addresses of it."""
    config = {
        "defaults": {"auth": ["bearer"]},
        "identity": {"bearer_tokens": [{"name": "ops", "token": TOKEN}]},
        "upstreams": {"echo": {"url": upstream.url}, "dead": {"url": "http://127.0.0.1:9"}},
        "routes": [
            {"name": "kept", "match": {"path": "/counted/public/*"}, "upstream": "echo", "auth": "none", "cache": {},
             "cors": {"origins": ["*"]}, "timeout": "2s"},
            {"name": "shared", "match": {"path": "/counted/shared/*"}, "upstream": "echo", "cache": {"shared": True},
             "limits": [{"requests": "3/hour"}]},
            {"name": "late-kept", "match": {"path": "/silent/1.5"}, "upstream": "echo", "auth": "none", "cache": {},
             "timeout": "500ms"},
            {"name": "gone-kept", "match": {"path": "/gone-kept"}, "upstream": "dead", "auth": "none", "cache": {}},
            {"name": "fresh", "match": {"path": "/counted/*"}, "upstream": "echo", "auth": "none"},
        ],
    }  # fmt: skip
    with running_gateway(config) as running:
        yield running


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.fixture
def calls(caching: Gateway):
    """What the upstream says of calls of one path, with one query after the other."""

    def of(path: str, *queries: dict[str, str], **headers: str) -> list[httpx.Response]:
        with caching.client() as client:
            return [client.get(path, params=query, headers=headers) for query in queries]

    return of


CACHEABLE = {"cache-control": "max-age=60"}


def test_an_answer_is_kept_as_long_as_the_upstream_says(caching: Gateway, calls):
    first, second = calls("/counted/public/kept", CACHEABLE, CACHEABLE)

    assert first.json()["calls"] == second.json()["calls"]
    assert "age" not in first.headers
    assert int(second.headers["age"]) >= 0
    row = caching.logged(second.headers["x-request-id"])
    assert (row["route"], row["endpoint"], row["details"]) == ("kept", None, "cache.response_from_cache_filter")


def test_a_hit_tells_each_page_about_itself(calls):
    pages = ["https://a.com", "https://b.com"]
    answers = [calls("/counted/public/pages", CACHEABLE, origin=page)[0] for page in pages]

    assert [answer.headers["access-control-allow-origin"] for answer in answers] == pages
    assert len({answer.json()["calls"] for answer in answers}) == 1
    assert all(answer.headers["vary"] == "Origin" for answer in answers)


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        pytest.param({}, {}, id="nothing said"),
        pytest.param({"cache-control": "private, max-age=60"}, {}, id="private"),
        pytest.param({"cache-control": "no-store"}, {}, id="no-store"),
        pytest.param({**CACHEABLE, "set-cookie": "session=1"}, {}, id="sets a cookie"),
        pytest.param({**CACHEABLE, "vary": "cookie"}, {}, id="varies by the cookie"),
        pytest.param({**CACHEABLE, "vary": "*"}, {}, id="varies by anything"),
        pytest.param(CACHEABLE, {"authorization": "Bearer of-the-upstream"}, id="authorization"),
        pytest.param(CACHEABLE, {"cache-control": "no-store"}, id="asked not to"),
    ],
)
def test_what_is_for_one_is_not_kept(calls, query, headers, request):
    path = f"/counted/public/{request.node.callspec.id.replace(' ', '-')}"
    first, second = calls(path, query, query, **headers)

    assert first.json()["calls"] < second.json()["calls"]


def test_a_kept_answer_has_headers_for_head_too(caching: Gateway, calls):
    (kept,) = calls("/counted/public/head", CACHEABLE)
    with caching.client() as client:
        response = client.head("/counted/public/head", params=CACHEABLE)

    assert "age" in response.headers
    assert (response.content, response.headers["content-length"]) == (b"", kept.headers["content-length"])


def test_other_queries_and_hosts_are_other_answers(calls):
    path = "/counted/public/keys"
    (one,), (two,) = calls(path, CACHEABLE), calls(path, {**CACHEABLE, "x-other": "1"})
    (three,) = calls(path, CACHEABLE, host="other.example.com")

    assert len({answer.json()["calls"] for answer in (one, two, three)}) == 3


def test_fetches_say_nothing_internal(calls):
    (answer,) = calls("/counted/public/headers", CACHEABLE)

    assert not [name for name in answer.json()["headers"] if name.startswith(("x-tollgate-", "x-envoy-internal"))]


def test_callers_of_a_shared_answer_are_authorized_and_counted(caching: Gateway, calls, bearer):
    path = "/counted/shared/x"
    denied_before = calls(path, CACHEABLE)[0]
    answers = calls(path, *[CACHEABLE] * 4, **bearer)
    denied_after = calls(path, CACHEABLE)[0]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert len({answer.json()["calls"] for answer in answers[:3]}) == 1
    assert "x-tollgate-profile" not in answers[0].json()["headers"]
    assert (denied_before.status_code, denied_after.status_code) == (401, 401)


def test_a_fetch_ends_with_the_timeout(caching: Gateway):
    with caching.client() as client:
        assert code(client.get("/silent/1.5")) == (504, "stream_timeout")


def test_a_fetch_that_fails_is_an_error_of_ours(caching: Gateway):
    with caching.client() as client:
        response, own = (
            client.get("/gone-kept"),
            client.get("/counted/public/own", params={"content-type": "text/plain"}),
        )

    assert code(response) == (502, "upstream_unreachable")
    assert response.json()["error"]["request_id"] == response.headers["x-request-id"]
    assert (own.status_code, own.headers["content-type"]) == (200, "text/plain")
    assert not [name for name in own.headers if name.startswith("x-tollgate")]


def test_clients_that_hang_up_while_an_answer_is_fetched_do_no_harm(caching: Gateway):
    """Envoy 1.40's older cache filter ended the process within three hundred of them."""
    envoy = caching.pid_of("envoy")
    for number in range(400):
        with socket.create_connection(("127.0.0.1", caching.port)) as client:
            client.sendall(f"GET /counted/public/gone?{number} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
            time.sleep(number % 5 / 1000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with caching.client() as client:
        assert client.get("/counted/public/there").status_code == 200
    assert caching.pid_of("envoy") == envoy
