"""What happens to connections and streams when an edit of another route replaces their listener, or at the end."""

import http.client
import signal
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.upstream import Upstream, running_upstream

# Longer than what ran on a replaced listener once had.
OLD_BOUND = 12.0


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """One of the test's own: its gate opens once."""
    with running_upstream() as running:
        yield running


def config(upstream: Upstream, **more: object) -> dict:
    routes = [
        {"name": "stream", "match": {"path": "/stream"}, "upstream": "echo", "auth": "none"},
        {"name": "other", "match": {"path": "/other"}, "upstream": "echo", "auth": "none", **more},
    ]
    return {"upstreams": {"echo": {"url": upstream.url}}, "routes": routes}


@pytest.fixture
def gateway(upstream: Upstream) -> Iterator[Gateway]:
    with running_gateway(config(upstream)) as running:
        yield running


def replaced(gateway: Gateway) -> int:
    """How often Envoy has replaced a listener, or what it does with connections."""
    metrics = httpx.get(f"{gateway.admin_url}/metrics", trust_env=False, verify=False).text.splitlines()
    counters = tuple(f"envoy_listener_manager_listener_{name}" for name in ("modified", "in_place_updated"))
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in metrics if line.startswith(counters)))


def kept_open(connection: http.client.HTTPConnection) -> bool:
    """Whether the connection may be used again, once it has been used."""
    connection.request("GET", "/other")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    return not answer.will_close


def refused(gateway: Gateway) -> bool:
    try:
        socket.create_connection(("127.0.0.1", gateway.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_stream_outlives_a_replaced_listener_and_requests_move_to_the_new_one(gateway: Gateway, upstream: Upstream):
    held = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    assert kept_open(held)
    before = replaced(gateway)

    with gateway.client() as client, client.stream("GET", "/stream") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "data: first"
        gateway.write(config(upstream, cors={"origins": ["https://app.example"]}))
        until(lambda: replaced(gateway) > before)
        assert not kept_open(held)
        time.sleep(OLD_BOUND)
        upstream.gate.set()
        rest = list(lines)

    assert "data: last" in rest


def test_a_gateway_that_stops_takes_no_connection_and_finishes_its_streams(gateway: Gateway, upstream: Upstream):
    held = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    assert kept_open(held)

    with gateway.client() as client, client.stream("GET", "/stream") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "data: first"
        gateway.process.send_signal(signal.SIGINT)
        until(lambda: refused(gateway))
        assert not kept_open(held)
        upstream.gate.set()
        rest = list(lines)

    assert "data: last" in rest
    assert until(lambda: gateway.process.poll() is not None)
    assert gateway.process.returncode == 0
