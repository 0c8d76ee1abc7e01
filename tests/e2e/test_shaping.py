"""What shapes traffic, as a client sees it, through the whole gateway; and all of it on one route."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.e2e.conftest import TOKEN
from tests.support.gateway import Gateway, running_gateway
from tests.support.upstream import Upstream

PAGE = "https://app.example.com"
JSON = {"content-type": "application/json"}
MERGED = {"model": "real", "share": "100%REQ(host)%", "nested": {"big": 2**40, "list": [1.5, {"deep": True}]}}


@pytest.fixture(scope="module")
def shaped(upstream: Upstream) -> Iterator[Gateway]:
    """One gateway for tests that leave no trace in it."""
    pages = {"origins": [PAGE, "https://*.example.org"], "credentials": True, "expose": ["x-total"], "max_age": "1h"}
    config = {
        "defaults": {"auth": ["bearer"]},
        "identity": {"bearer_tokens": [{"name": "ops", "token": TOKEN}]},
        "upstreams": {"echo": {"url": upstream.url}, "dead": {"url": "http://127.0.0.1:9"}},
        "routes": [
            {"name": "pages", "match": {"path": "/pages/*", "methods": ["GET", "POST"]}, "upstream": "echo",
             "cors": pages, "body_limit": "1KiB"},
            {"name": "gone", "match": {"path": "/gone"}, "upstream": "dead", "auth": "none", "cors": pages},
            {"name": "all-pages", "match": {"path": "/all-pages"}, "upstream": "echo", "auth": "none",
             "cors": {"origins": ["*"]}},
            {"name": "beta", "match": {"path": "/beta", "headers": {"x-beta": "1"}}, "upstream": "echo",
             "auth": "none", "cors": {"origins": ["https://beta.example.com"]}},
            {"name": "stable", "match": {"path": "/beta"}, "upstream": "echo", "auth": "none",
             "cors": {"origins": [PAGE]}},
            {"name": "here", "match": {"path": "/here"}, "upstream": "echo", "allow_ips": ["127.0.0.0/8"],
             "auth": "none"},
            {"name": "elsewhere", "match": {"path": "/elsewhere"}, "upstream": "echo",
             "allow_ips": ["10.0.0.0/8", "2001:db8::/32"]},
            {"name": "merged", "match": {"path": "/merged"}, "upstream": "echo", "auth": "none",
             "request_body": {"merge": MERGED}, "body_limit": "64KiB"},
            {"name": "slow", "match": {"path": "/slow"}, "upstream": "echo", "auth": "none", "body_limit": "1MiB",
             "bandwidth": {"upload": "64KiB"}},
            {"name": "late", "match": {"path": "/late"}, "upstream": "echo", "auth": "none",
             "fault": {"delay": {"duration": "700ms"}}},
            {"name": "broken", "match": {"path": "/broken"}, "upstream": "echo",
             "fault": {"abort": {"status": 502}}},
            {"name": "sound", "match": {"path": "/sound"}, "upstream": "echo", "auth": "none",
             "fault": {"abort": {"status": 502, "percent": 0}, "delay": {"duration": "1h", "percent": 0}}},
            {"name": "loaded", "match": {"path": "/silent/*"}, "upstream": "echo", "auth": "none",
             "adaptive_concurrency": {"min_concurrency": 2, "max_concurrency": 2}},
            {"name": "everything", "match": {"path": "/everything", "methods": ["POST"]}, "upstream": "echo",
             "cors": pages, "body_limit": "1KiB", "allow_ips": ["127.0.0.1"], "cost": 2,
             "limits": [{"requests": "9/hour", "scope": "instance"}, {"requests": "9/hour"}],
             "request_body": {"merge": {"a": 1}}, "bandwidth": {"upload": "1MiB", "download": "1MiB"},
             "fault": {"delay": {"duration": "1ms"}}, "adaptive_concurrency": {}},
            {"name": "socket", "match": {"path": "/socket"}, "upstream": "echo", "auth": "none", "rewrite": "/ws",
             "websocket": True, "bandwidth": {"upload": "16KiB"}},
        ],
    }  # fmt: skip
    with running_gateway(config) as running:
        yield running


def preflight(gateway: Gateway, path: str, origin: str, method: str = "GET", **headers: str) -> httpx.Response:
    asked = {"origin": origin, "access-control-request-method": method, **headers}
    with gateway.client() as client:
        return client.options(path, headers=asked)


def allowed(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_a_preflight_is_answered_without_credential(shaped: Gateway):
    response = preflight(shaped, "/pages/x", PAGE, "POST")

    assert response.status_code == 200
    assert allowed(response) == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "authorization,content-type",
        "access-control-expose-headers": "x-total",
        "access-control-max-age": "3600",
    }
    assert response.headers["vary"] == "Origin"
    assert shaped.logged(response.headers["x-request-id"])["route"] == "pages:preflight"


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        pytest.param("https://a.example.org", True, id="suffix"),
        pytest.param("https://a.b.example.org", True, id="deeper"),
        pytest.param("https://example.org", False, id="the suffix alone"),
        pytest.param("https://evil-example.org", False, id="no dot before the suffix"),
        pytest.param("https://a.example.org.evil.com", False, id="something behind"),
        pytest.param("https://a.example.org:8443", False, id="another port"),
        pytest.param("http://a.example.org", False, id="another scheme"),
        pytest.param("https://evil.com/.example.org", False, id="a path"),
        pytest.param("https://evil.com#.example.org", False, id="a fragment"),
        pytest.param("https://axexample.org", False, id="any sign for the dot"),
        pytest.param("null", False, id="null"),
    ],
)
def test_only_pages_of_allowed_origins_may_read(shaped: Gateway, bearer, origin, passes):
    asked = preflight(shaped, "/pages/x", origin)
    with shaped.client() as client:
        plain = client.get("/pages/x", headers={**bearer, "origin": origin})

    assert plain.status_code == 200
    assert plain.headers["vary"] == "Origin"
    if passes:
        assert asked.headers["access-control-allow-origin"] == origin
        assert plain.headers["access-control-allow-origin"] == origin
    else:
        assert code(asked) == (403, "origin_not_allowed")
        assert (allowed(asked), allowed(plain)) == ({}, {})


@pytest.mark.parametrize(
    ("method", "origin", "status"),
    [
        pytest.param("DELETE", PAGE, 404, id="a method that the route does not take"),
        pytest.param("GET", "https://evil.com", 403, id="a page that may not"),
    ],
)
def test_a_preflight_reaches_no_upstream(shaped: Gateway, method, origin, status):
    response = preflight(shaped, "/pages/x", origin, method)

    assert response.status_code == status
    assert allowed(response) == {}
    assert shaped.logged(response.headers["x-request-id"])["endpoint"] is None


def test_any_page_may_read_what_is_for_all(shaped: Gateway):
    with shaped.client() as client:
        response = client.get("/all-pages", headers={"origin": "https://anybody.net"})
    methods = preflight(shaped, "/all-pages", "https://anybody.net", "PATCH").headers["access-control-allow-methods"]

    assert response.headers["access-control-allow-origin"] == "https://anybody.net"
    assert "access-control-allow-credentials" not in response.headers
    assert methods == "DELETE,GET,HEAD,PATCH,POST,PUT"


def test_a_preflight_finds_the_route_by_the_headers_it_announces(shaped: Gateway):
    beta = preflight(
        shaped, "/beta", "https://beta.example.com", **{"access-control-request-headers": "content-type, x-beta"}
    )
    stable = preflight(shaped, "/beta", PAGE, **{"access-control-request-headers": "content-type"})

    assert beta.headers["access-control-allow-origin"] == "https://beta.example.com"
    assert stable.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        pytest.param("/pages/x", b"", (401, "missing_credential"), id="401"),
        pytest.param("/pages/x", b"x" * 2000, (413, "payload_too_large"), id="413"),
        pytest.param("/gone", b"", (502, "upstream_unreachable"), id="502"),
    ],
)
def test_pages_may_read_errors(shaped: Gateway, path, body, expected):
    with shaped.client() as client:
        response = client.post(path, content=body, headers={"origin": PAGE})

    assert code(response) == expected
    assert response.headers["access-control-allow-origin"] == PAGE
    assert response.headers["vary"] == "Origin"


def test_only_listed_networks_may_call(shaped: Gateway):
    with shaped.client() as client:
        here, elsewhere, health = client.get("/here"), client.get("/elsewhere"), client.get("/health")

    assert here.status_code == 200
    # before anybody asks for a credential
    assert code(elsewhere) == (403, "ip_not_allowed")
    assert health.status_code == 200


def test_no_header_of_a_client_changes_its_address(shaped: Gateway):
    told = {"x-forwarded-for": "10.0.0.1", "x-real-ip": "10.0.0.1", "forwarded": "for=10.0.0.1"}
    with shaped.client() as client:
        assert code(client.get("/elsewhere", headers=told)) == (403, "ip_not_allowed")


def test_a_body_is_merged_as_it_is_written(shaped: Gateway):
    sent = {"model": "wanted", "nested": {"kept": False}, "text": "100%"}
    with shaped.client() as client:
        response = client.post("/merged", json=sent, headers={"x-tollgate-body": "rewritten"})

    assert json.loads(response.json()["body"]) == {"text": "100%", **MERGED}
    assert not any("tollgate" in name for name, _ in response.json()["headers"])


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        pytest.param(b'{"model":1,"model":2}', JSON, id="repeated key"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', JSON, id="byte order mark"),
        pytest.param(b'{"a":' * 150 + b"1" + b"}" * 150, JSON, id="deep"),
        pytest.param(b"[1]", JSON, id="array"),
        pytest.param(b'"text"', JSON, id="text"),
        pytest.param(b"{", JSON, id="half"),
        pytest.param(b"", JSON, id="empty"),
        pytest.param(b'{"a":1}{"b":2}', JSON, id="two"),
        pytest.param(b'{"a":"\\ud800"}', JSON, id="lone surrogate"),
        pytest.param(b'{"a":1}', {"content-type": "text/plain"}, id="another type"),
        pytest.param(b'{"a":1}', {}, id="no type"),
        pytest.param(b'{"a":1}', {"content-type": "application/jsonx"}, id="a type that begins alike"),
        pytest.param(b'{"a":1}', {"content-type": "application/problem+json"}, id="a type that ends alike"),
    ],
)
def test_what_cannot_be_rewritten_goes_nowhere(shaped: Gateway, content, headers):
    with shaped.client() as client:
        response = client.post("/merged", content=content, headers={**headers, "x-tollgate-body": "rewritten"})

    assert code(response) == (400, "body_not_rewritten")


def test_a_request_without_a_body_has_nothing_to_rewrite(shaped: Gateway):
    with shaped.client() as client:
        assert code(client.get("/merged", headers={"x-tollgate-body": "rewritten"})) == (400, "body_not_rewritten")


def test_chunked_bodies_are_rewritten(shaped: Gateway):
    told = {"content-type": "application/json; charset=utf-8"}
    with shaped.client() as client:
        response = client.post("/merged", content=iter([b'{"a"', b":1}"]), headers=told)

    assert json.loads(response.json()["body"]) == {"a": 1, **MERGED}


def test_a_body_over_the_limit_is_not_read(shaped: Gateway):
    with shaped.client() as client:
        response = client.post("/merged", json={"a": "x" * 70_000})

    assert code(response) == (413, "payload_too_large")


def test_uploads_pass_as_fast_as_they_may(shaped: Gateway):
    """192 KiB at 64 KiB a second: a bucket's worth at once, then two seconds at least."""
    began = time.monotonic()
    with shaped.client() as client:
        response = client.post("/slow", content=b"x" * 196_608)

    assert response.json()["bytes"] == 196_608
    assert time.monotonic() - began > 0.9


def test_a_delay_holds_requests_up(shaped: Gateway):
    began = time.monotonic()
    with shaped.client() as client:
        response = client.get("/late")

    assert response.status_code == 200
    assert time.monotonic() - began >= 0.7


def test_an_abort_is_an_error_of_ours(shaped: Gateway, bearer):
    with shaped.client() as client:
        refused, aborted = client.get("/broken"), client.get("/broken", headers=bearer)

    assert refused.status_code == 401  # nobody who may not call is told
    assert code(aborted) == (502, "fault_injected")


def test_clients_make_no_trouble(shaped: Gateway):
    asked = {"x-envoy-fault-abort-request": "503", "x-envoy-fault-delay-request": "60000"}
    asked |= {f"{name}-percentage": "100" for name in asked}
    with shaped.client() as client:
        assert client.get("/sound", headers=asked, timeout=10).status_code == 200


def test_more_than_the_upstream_takes_at_once_is_refused(shaped: Gateway):
    """All are under way before the first is answered, on a slow machine too: they share a client that is there."""
    with shaped.client() as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _number: client.get("/silent/2"), range(8)))

    passed = [answer for answer in answers if answer.status_code == 200]
    assert len(passed) == 2
    assert {code(answer) for answer in answers if answer not in passed} == {(503, "concurrency_limited")}


def test_everything_at_once_is_judged_in_order(shaped: Gateway, bearer):
    """Page, size, address, caller, limits of Envoy and of the fleet, body, trouble: the first to refuse answers."""
    page = {"origin": PAGE}

    def call(**options: Any) -> tuple[int, str]:
        with shaped.client() as client:
            response = client.post("/everything", **options)
        assert response.headers["access-control-allow-origin"] == PAGE
        return code(response) if response.is_error else (response.status_code, json.loads(response.json()["body"]))

    assert preflight(shaped, "/everything", PAGE, "POST").status_code == 200
    assert call(headers=page, content=b"x" * 2000) == (413, "payload_too_large")
    assert call(headers=page) == (401, "missing_credential")
    assert call(headers=page | bearer, json={"b": 2}) == (200, {"a": 1, "b": 2})
    assert call(headers=page | bearer, content=b"[]") == (400, "body_not_rewritten")
    # four of nine were taken, in each limit: two calls of two
    assert call(headers=page | bearer, json={}) == (200, {"a": 1})
    assert call(headers=page | bearer, json={}) == (200, {"a": 1})
    assert call(headers=page | bearer, json={}) == (429, "rate_limited")


def test_a_websocket_is_as_slow_as_its_route(shaped: Gateway):
    began = time.monotonic()
    with connect(f"ws://127.0.0.1:{shaped.port}/socket", proxy=None) as socket:
        socket.send("x" * 49_152)
        answer = socket.recv()

    assert len(answer) == len("echo: ") + 49_152
    assert time.monotonic() - began > 0.9


def test_metrics_tell_of_each_filter_and_no_secret(shaped: Gateway, bearer):
    with shaped.client() as client:
        client.get("/elsewhere")
        client.post("/merged", content=b"[]")
        client.get("/broken", headers=bearer)
        client.get("/silent/0.01")
        client.post("/slow", content=b"x")
        metrics = httpx.get(f"{shaped.admin_url}/metrics", trust_env=False, verify=False).text

    for word in ("cors", "ip_list", "body_guard", "local_rate_limit", "fault", "concurrency", "bandwidth_limit"):
        assert word in metrics
    assert TOKEN not in metrics
