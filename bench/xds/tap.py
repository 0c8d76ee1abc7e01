"""Stands between an Envoy and the control plane, hands on every byte, and notes when messages pass and how large.

So a push and its ACK are seen from outside of both, at one clock. It adds two copies of each byte over a local socket.
"""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.xds.frames import DataFrames
from service_kit.clock import Clock

CHUNK = 1 << 18
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Passed:
    """Bytes of messages that passed: when they were read, how many, and whose."""

    at: float
    size: int
    of_client: bool


@dataclass(frozen=True)
class _Way:
    """One direction of a connection."""

    source: socket.socket
    to: socket.socket
    frames: DataFrames


class Tap:
    """What has passed, in its order."""

    def __init__(self, control_plane: Path, clock: Clock) -> None:
        self._control_plane = control_plane
        self._clock = clock
        self._stopping = threading.Event()
        self._passed: list[Passed] = []

    def since(self, moment: float) -> tuple[Passed, ...]:
        return tuple(item for item in tuple(self._passed) if item.at >= moment)

    def forget(self) -> None:
        self._passed = []

    def stop(self) -> None:
        self._stopping.set()

    def follow(self, listening: socket.socket) -> None:
        """Hands on until it is stopped, one connection after the other."""
        while not self._stopping.is_set():
            with suppress(OSError):  # nobody has come yet, or one of the two has gone
                client, _ = listening.accept()
                with client, socket.socket(socket.AF_UNIX) as server:
                    server.connect(str(self._control_plane))
                    self._hand_on(client, server)

    def _hand_on(self, client: socket.socket, server: socket.socket) -> None:
        ways = (
            _Way(client, server, DataFrames(of_client=True)),
            _Way(server, client, DataFrames(of_client=False)),
        )
        with selectors.DefaultSelector() as selector:
            for way in ways:
                selector.register(way.source, selectors.EVENT_READ, way)
            while not self._stopping.is_set():
                for key, _ in selector.select(LOOK_SECONDS):
                    if not self._handed_on(key.data):
                        return

    def _handed_on(self, way: _Way) -> bool:
        data = way.source.recv(CHUNK)
        at = self._clock.monotonic()
        if not data:
            return False
        way.to.sendall(data)
        if size := way.frames.receive(data):
            self._passed.append(Passed(at, size, way.frames.of_client))
        return True


@contextmanager
def tap(at: Path, control_plane: Path, clock: Clock) -> Iterator[Tap]:
    """A tap that listens on this socket."""
    found = Tap(control_plane, clock)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(at))
        listening.listen()
        listening.settimeout(LOOK_SECONDS)
        thread = threading.Thread(target=found.follow, args=(listening,))
        thread.start()
        try:
            yield found
        finally:
            found.stop()
            thread.join()
