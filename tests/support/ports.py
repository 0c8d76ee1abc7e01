"""Ports that nobody listens on at the moment."""

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port whose queue is full and never emptied: the kernel ignores who tries to connect."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):  # the queue takes one or two
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield int(listening.getsockname()[1])


def free_ports_prefix() -> str:
    """Digits to which 01 to 07 can be added, for seven ports that nobody has."""
    while True:
        prefix = str(random.randrange(200, 320))  # below the range from which the kernel hands out ports
        if all(_is_free(int(f"{prefix}{number:02}")) for number in range(1, 8)):
            return prefix


def quiet_port() -> int:
    """A free port, as is the next one, that the kernel gives to nobody meanwhile."""
    while True:
        port = random.randrange(10_000, 20_000, 2)
        if _is_free(port) and _is_free(port + 1):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0
