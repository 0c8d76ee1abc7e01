"""An Envoy whose heap is full refuses what is new, says so, and recovers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx

from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.upstream import running_upstream

UPLOAD = 32 << 20
UPLOADS = 6


class Deaf:
    """An upstream that takes connections and leaves what comes on them to the gateway."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.held: list[socket.socket] = []

    def hang_up(self) -> None:
        for sock in self.held:
            sock.close()


@contextmanager
def deaf_upstream() -> Iterator[Deaf]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        deaf = Deaf(server.getsockname()[1])

        def take() -> None:
            while True:
                try:
                    deaf.held.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield deaf
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            deaf.hang_up()


@contextmanager
def uploads(gateway: Gateway) -> Iterator[None]:
    """Large bodies that nobody takes off the gateway's hands, again and again: a full gateway cuts them off."""
    head = f"POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: {UPLOAD}\r\n\r\n".encode()
    over = threading.Event()
    sending: list[socket.socket] = []

    def send() -> None:
        while not over.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", gateway.port)) as sock:
                sending.append(sock)
                if not over.is_set():  # else nobody would cut this one off
                    sock.sendall(head + b"x" * UPLOAD)
                    over.wait()

    threads = [threading.Thread(target=send) for _ in range(UPLOADS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for sock in tuple(sending):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def ask(gateway: Gateway) -> httpx.Response:
    with gateway.client() as client:
        return client.get("/public/x")


def test_a_full_heap_refuses_requests_and_recovers():
    with running_upstream() as upstream, deaf_upstream() as deaf:
        config = {
            "upstreams": {"echo": {"url": upstream.url}, "deaf": {"url": f"http://127.0.0.1:{deaf.port}"}},
            "routes": [
                {"name": "public", "match": {"path": "/public/*"}, "upstream": "echo", "auth": "none"},
                {"name": "sink", "match": {"path": "/sink"}, "upstream": "deaf", "auth": "none",
                 "body_limit": "64MiB"},
            ],
        }  # fmt: skip
        with running_gateway(config, {"TOLLGATE_ENVOY_MEMORY": "64MiB"}) as gateway:
            assert ask(gateway).status_code == 200
            with uploads(gateway):
                refused = until(lambda: found if (found := ask(gateway)).status_code == 503 else None, seconds=60)
            deaf.hang_up()
            until(lambda: ask(gateway).status_code == 200)

            assert refused.json()["error"]["code"] == "gateway_overloaded"
            assert refused.headers["content-type"] == "application/json"
            assert gateway.logged(refused.json()["error"]["request_id"])["details"] == "overload"
