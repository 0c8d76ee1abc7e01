"""How many connections a listener takes."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.e2e.listeners.conftest import Front
from tests.support.eventually import until

REQUEST = b"GET /public/x HTTP/1.1\r\nhost: a\r\n\r\n"


@contextmanager
def connection(front: Front) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", front.ports["small"]), timeout=10) as sock:
        yield sock


def answer(sock: socket.socket) -> bytes:
    try:
        sock.sendall(REQUEST)
        return sock.recv(12)
    except ConnectionError:
        return b""


def served(front: Front, stack: ExitStack) -> socket.socket:
    """A connection that is answered: Envoy hears a little later than its client that an earlier one is closed."""

    def attempt() -> socket.socket | None:
        with ExitStack() as opened:
            sock = opened.enter_context(connection(front))
            if answer(sock) != b"HTTP/1.1 200":
                return None
            stack.push(opened.pop_all())
            return sock

    return until(attempt)


def test_more_connections_than_a_listener_takes_are_closed_at_once(front: Front):
    with ExitStack() as stack:
        held = [served(front, stack) for _ in range(3)]

        late = [stack.enter_context(connection(front)) for _ in range(5)]
        assert [answer(sock) for sock in late] == [b""] * 5
        assert all(answer(sock) for sock in held)  # those that were there live on
        assert front.get("asking", "/public/x").status_code == 200  # and so do the other listeners

    for _ in range(5):  # nothing of it is left behind
        with ExitStack() as stack:
            served(front, stack)
