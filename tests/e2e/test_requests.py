"""What a request may bring, and what of it the upstream sees."""

import time

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.e2e.conftest import token_with
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream


def seen(response: httpx.Response) -> dict[str, str]:
    """The headers that reached the upstream; one that came twice would fail the test."""
    assert response.status_code == 200, response.text
    pairs = response.json()["headers"]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_identity_headers_are_ours_alone(gateway: Gateway, bearer):
    spoofed = {
        "x-tollgate-subject": "root",
        "X-Tollgate-Tenant": "root",
        "x-tollgate-plan": "unlimited",
        "x-tollgate-profile": "p-000000000000",
        "x-tollgate-whatever": "1",
        "x-tollgate": "1",
        "x-tollgate.subject": "root",
        "x--tollgate-subject": "root",
    }
    with gateway.client() as client:
        private = seen(client.get("/private/x", headers={**bearer, **spoofed}))
        public = seen(client.get("/public/x", headers=spoofed))

    assert {name: value for name, value in private.items() if name.startswith("x-tollgate-")} == {
        "x-tollgate-subject": "ops",
        "x-tollgate-tenant": "acme",
        "x-tollgate-consumer": "ops",
        "x-tollgate-plan": "-",
        "x-tollgate-key-id": "ops",
    }
    assert not any("tollgate" in name for name in public)


def test_nobody_but_the_gateway_says_where_a_request_came_from(gateway: Gateway):
    told = {
        "forwarded": "for=10.0.0.1", "x-forwarded-for": "10.0.0.1", "x-forwarded-host": "a", "x-real-ip": "10.0.0.1",
        "x-forwarded-port": "1", "x-original-url": "/admin", "x-rewrite-url": "/admin", "proxy": "http://10.0.0.1",
        "proxy-authorization": "Basic eDp5", "true-client-ip": "10.0.0.1", "x-forwarded-proto": "https",
    }  # fmt: skip
    with gateway.client() as client:
        response = client.get("/public/x", headers=told)

    headers = seen(response)
    assert set(told) & set(headers) == {"x-forwarded-for", "x-forwarded-proto"}
    assert "10.0.0.1" not in headers["x-forwarded-for"]
    assert headers["x-forwarded-proto"] == "http"


def test_the_credential_stays_in_the_gateway(gateway: Gateway, bearer):
    with gateway.client() as client:
        private = seen(client.get("/private/x", headers=bearer))
        public = seen(client.get("/public/x", headers=bearer))

    assert "authorization" not in private
    assert public["authorization"] == bearer["authorization"]  # a public route's upstream may have its own


def test_the_request_id_is_the_gateways(gateway: Gateway):
    with gateway.client() as client:
        response = client.get("/public/x", headers={"x-request-id": "mine"})

    ours = response.headers["x-request-id"]
    assert ours != "mine"
    assert seen(response)["x-request-id"] == ours
    assert gateway.logged(ours)["route"] == "public"


@pytest.mark.parametrize("header", ["x-envoy-original-path", "x-envoy-expected-rq-timeout-ms", "x-envoy-max-retries"])
def test_clients_do_not_steer_envoy(gateway: Gateway, header):
    with gateway.client() as client:
        response = client.get("/public/x", headers={header: "1"})

    assert seen(response).get(header) != "1"
    assert gateway.logged(response.headers["x-request-id"])["path"] == "/public/x"


@pytest.mark.parametrize(
    ("asked", "host", "reached"),
    [
        pytest.param("/private/a/b", None, "/a/b", id="prefix to root"),
        pytest.param("/private", None, "/", id="the prefix itself"),
        pytest.param("/private/", None, "/", id="the prefix and a slash"),
        pytest.param("/moved/a", None, "/v2/a", id="prefix to prefix"),
        pytest.param("/moved", None, "/v2", id="prefix alone to prefix"),
        pytest.param("/public//a/./b/../c", None, "/public/a/c", id="normalised"),
        pytest.param("/x", "api.example.com", "/hosted/x", id="host"),
        pytest.param("/x", "API.example.com:8800", "/hosted/x", id="host in capitals, with a port"),
        pytest.param("/x", "api.example.com.", "/hosted/x", id="host with a trailing dot"),
        pytest.param("/x", "a.b.example.org", "/wild/x", id="wildcard host"),
    ],
)
def test_the_upstream_gets_the_path_that_the_route_makes(gateway: Gateway, bearer, asked, host, reached):
    with gateway.client() as client:
        # a raw target: the client would normalise the path itself
        request = client.build_request("GET", "/", headers={**bearer, **({"host": host} if host else {})})
        request.url = request.url.copy_with(raw_path=asked.encode())
        response = client.send(request)

    assert response.status_code == 200, response.text
    assert response.json()["path"] == reached


def test_the_query_survives_a_rewrite_and_stays_out_of_the_log(gateway: Gateway):
    with gateway.client() as client:
        response = client.get("/moved/a?token=secret")

    assert response.json()["query"] == "token=secret"
    row = gateway.logged(response.headers["x-request-id"])
    assert row["path"] == "/moved/a"
    assert "secret" not in str(row)


def test_a_jwt_of_the_issuer_is_an_identity(gateway: Gateway):
    with gateway.client() as client:
        response = client.get("/private/x", headers={"authorization": f"Bearer {token_with(org='acme')}"})

    assert seen(response)["x-tollgate-subject"] == "alice"
    row = gateway.logged(response.headers["x-request-id"])
    assert (row["subject"], row["tenant"], row["consumer"], row["status"]) == ("alice", "acme", "alice", 200)


def test_a_stream_passes_chunk_by_chunk(gateway: Gateway, upstream: Upstream):
    """The last chunk is sent only after the first has arrived at the client."""
    upstream.gate.clear()
    with gateway.client() as client, client.stream("GET", "/stream") as response:
        chunks = response.iter_text()
        first = next(chunks)
        upstream.gate.set()
        rest = "".join(chunks)

    assert (first, rest) == ("data: first\n\n", "data: last\n\n")


def test_a_stream_outlives_the_timeout_of_its_first_byte(gateway: Gateway, upstream: Upstream):
    upstream.gate.clear()
    with gateway.client() as client, client.stream("GET", "/stream") as response:
        chunks = response.iter_text()
        next(chunks)
        time.sleep(2.5)  # the route's timeout is 2s
        upstream.gate.set()
        rest = "".join(chunks)

    assert rest == "data: last\n\n"


def test_a_websocket_is_authorized_and_then_echoes(gateway: Gateway, bearer):
    address = f"ws://127.0.0.1:{gateway.port}/socket"
    with pytest.raises(InvalidStatus) as refused:
        connect(address, proxy=None)
    with connect(address, additional_headers=bearer, proxy=None) as socket:
        socket.send("hello")
        first = socket.recv()
        socket.send("again")
        second = socket.recv()

    assert refused.value.response.status_code == 401
    assert (first, second) == ("echo: hello", "echo: again")


def test_a_route_without_websocket_refuses_the_upgrade(gateway: Gateway):
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{gateway.port}/public/ws", proxy=None)

    assert refused.value.response.status_code == 403
    assert b"upgrade_not_allowed" in refused.value.response.body


def test_http2_is_served_in_the_clear(gateway: Gateway):
    """gRPC clients and proxies speak HTTP/2 with prior knowledge; the authority is their host."""
    with httpx.Client(base_url=gateway.url, http1=False, http2=True, trust_env=False, verify=False) as client:
        response = client.get("/public/x")

    assert (response.http_version, response.status_code) == ("HTTP/2", 200)
