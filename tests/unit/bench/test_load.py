import math
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bench.load import Load, LoadFailed, Schedule, Target, load
from service_kit.clock import SystemClock
from tests.support.ports import free_port

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno"


@contextmanager
def answering(answer: Callable[[int], bytes]) -> Iterator[Target]:
    """A server that gives the answer with this number to each request, and hangs up where there is none."""
    numbers = iter(range(1_000_000))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(len(REQUEST), socket.MSG_WAITALL) and (data := answer(next(numbers))):
                self.request.sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Target(server.server_address[1], REQUEST, b"ok")
        finally:
            server.shutdown()
            thread.join()


def loaded(target: Target, requests: int = 12, rate: float = 1000.0, connections: int = 3) -> Load:
    return load(target, Schedule(requests, rate, connections), SystemClock())


@pytest.mark.parametrize("rate", [1000.0, math.inf])
def test_every_request_is_answered_once(rate: float):
    with answering(lambda _: GOOD) as target:
        seen = loaded(target, rate=rate)

    assert (len(seen.latencies), len(seen.lags)) == (12, 12)
    assert min(seen.latencies) > 0


def test_requests_that_wait_for_a_connection_are_charged_for_it():
    gate = threading.Event()

    def answer(number: int) -> bytes:
        if number == 0:
            gate.wait()
        return GOOD

    with answering(answer) as target:
        threading.Timer(0.2, gate.set).start()
        seen = loaded(target, requests=5, connections=1)

    # the first one stalls for 200 ms, and all are due within 4 ms
    assert len(seen.latencies) == 5
    assert min(seen.latencies) > 0.15
    assert min(seen.lags[1:]) > 0.15


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(lambda number: BAD if number == 7 else GOOD, "answer 8 was 503 b'no'", id="a refusal"),
        pytest.param(lambda _: GOOD.replace(b"ok", b"no"), "answer 1 was 200 b'no'", id="another body"),
        pytest.param(lambda number: b"" if number == 7 else GOOD, "closed", id="a connection that is closed"),
        pytest.param(lambda _: b"what?\r\n\r\n", "no answer with a length", id="no HTTP"),
    ],
)
def test_one_bad_answer_is_a_failure(answer: Callable[[int], bytes], message: str):
    with answering(answer) as target, pytest.raises(LoadFailed, match=message):
        loaded(target, connections=1)  # of several, none knows which answer comes first


def test_nobody_there_is_a_failure():
    with pytest.raises(LoadFailed, match="cannot connect"):
        loaded(Target(free_port(), REQUEST, b"ok"))
