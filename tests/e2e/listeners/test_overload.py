"""An Envoy whose heap is full refuses what is new, says so, and recovers."""

import socket
from contextlib import ExitStack, suppress

import httpx

from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.upstream import running_upstream

# Bytes: below what Envoy cuts off first, of which it has 64 MiB.
HELD = 960 << 10
MOST_HELD = 200


def hold(gateway: Gateway, stack: ExitStack) -> None:
    """A body that the gateway keeps, since it is to be changed and does not end."""
    head = f"POST /changed HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {HELD + 1}\r\n\r\n"
    sock = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))
    with suppress(OSError):
        sock.sendall(head.encode() + b" " * HELD)


def ask(gateway: Gateway) -> httpx.Response:
    with gateway.client() as client:
        return client.get("/public/x")


def first_refusal(gateway: Gateway, stack: ExitStack) -> httpx.Response:
    """What another request is answered when ever more bodies have filled the heap."""
    for _ in range(MOST_HELD):
        hold(gateway, stack)
        if (answer := ask(gateway)).status_code == 503:
            return answer
    raise AssertionError(f"{MOST_HELD} bodies of {HELD} bytes do not fill the heap")


def test_a_full_heap_refuses_requests_and_recovers():
    with running_upstream() as upstream:
        config = {
            "upstreams": {"echo": {"url": upstream.url}},
            "routes": [
                {"name": "public", "match": {"path": "/public/*"}, "upstream": "echo", "auth": "none"},
                {"name": "changed", "match": {"path": "/changed"}, "upstream": "echo", "auth": "none",
                 "request_body": {"merge": {"a": 1}}},
            ],
        }  # fmt: skip
        with running_gateway(config, {"TOLLGATE_ENVOY_MEMORY": "64MiB"}) as gateway:
            assert ask(gateway).status_code == 200
            with ExitStack() as stack:
                refused = first_refusal(gateway, stack)
            until(lambda: ask(gateway).status_code == 200)

            assert refused.json()["error"]["code"] == "gateway_overloaded"
            assert refused.headers["content-type"] == "application/json"
            assert gateway.logged(refused.json()["error"]["request_id"])["details"] == "overload"
