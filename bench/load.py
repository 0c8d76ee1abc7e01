"""An open-loop load generator: requests leave by a schedule, whether or not answers have come.

Latency counts from the moment at which a request was due, so that a gateway which stalls is charged for all that
waited meanwhile. One thread and `select`: asyncio's timers are as coarse as what is measured.
"""

import select
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.answers import Answer, AnswerReader, Unreadable
from service_kit.clock import Clock

# Seconds without any answer after which the load has failed.
PATIENCE = 10.0
CHUNK = 1 << 16


class LoadFailed(Exception):  # noqa: N818 - what happened
    """Not every request was answered as it should be, so there is nothing to measure."""


@dataclass(frozen=True)
class Target:
    """Where the load goes, and the answer that every request must get."""

    port: int
    request: bytes
    body: bytes
    status: int = 200


@dataclass(frozen=True)
class Schedule:
    """So many requests over connections that are kept open, one every 1/rate seconds.

    At an infinite rate all are due at once: each connection sends as soon as it has its answer.
    """

    requests: int
    rate: float
    connections: int


@dataclass(frozen=True)
class Load:
    """What the requests saw, in seconds: from due to answered, and from due to sent."""

    latencies: Sequence[float]
    lags: Sequence[float]


@dataclass(eq=False)  # one is not another, whatever it holds
class _Connection:
    """A connection, and when the request that it carries was due."""

    socket: socket.socket
    due: float = 0.0
    reader: AnswerReader = field(default_factory=AnswerReader)

    def fileno(self) -> int:
        return self.socket.fileno()

    def receive(self) -> Answer | None:
        data = self.socket.recv(CHUNK)
        if not data:
            raise LoadFailed("a connection was closed before its answer was whole")
        return self.reader.receive(data)


def load(target: Target, schedule: Schedule, clock: Clock) -> Load:
    """Sends the requests; LoadFailed unless each of them got the answer that it should."""
    with ExitStack() as stack:
        connections = [_Connection(stack.enter_context(_connected(target))) for _ in range(schedule.connections)]
        run = _Run(target, schedule, clock, connections)
        try:
            run.finish()
        except (OSError, Unreadable) as error:
            raise LoadFailed(str(error)) from error
    return Load(run.latencies, run.lags)


class _Run:
    """One load while it runs."""

    def __init__(self, target: Target, schedule: Schedule, clock: Clock, connections: Sequence[_Connection]) -> None:
        self.latencies: list[float] = []
        self.lags: list[float] = []
        self._target = target
        self._schedule = schedule
        self._clock = clock
        self._start = clock.monotonic()
        self._idle = deque(connections)
        self._busy: set[_Connection] = set()

    def finish(self) -> None:
        while len(self.latencies) < self._schedule.requests:
            self._send_what_is_due()
            self._receive(self._patience())

    def _next_due(self) -> float | None:
        """When the next request is due; None where none is left, or no connection is free to carry it."""
        sent = len(self.lags)
        if sent == self._schedule.requests or not self._idle:
            return None
        return self._start + sent / self._schedule.rate

    def _send_what_is_due(self) -> None:
        while (due := self._next_due()) is not None and (now := self._clock.monotonic()) >= due:
            connection = self._idle.popleft()
            connection.due = due
            connection.socket.sendall(self._target.request)
            self._busy.add(connection)
            self.lags.append(now - due)

    def _patience(self) -> float:
        due = self._next_due()
        return PATIENCE if due is None else max(0.0, due - self._clock.monotonic())

    def _receive(self, patience: float) -> None:
        readable, _, _ = select.select(self._busy, (), (), patience)
        if not readable and self._next_due() is None:
            raise LoadFailed(f"no answer within {PATIENCE:g} s")
        for connection in readable:
            answer = connection.receive()
            if answer is not None:
                self.latencies.append(self._clock.monotonic() - connection.due)
                self._check(answer)
                self._busy.remove(connection)
                self._idle.append(connection)

    def _check(self, answer: Answer) -> None:
        """At once: after a refusal Envoy closes the connection, and that would be told instead."""
        if (answer.status, answer.body) != (self._target.status, self._target.body):
            raise LoadFailed(f"answer {len(self.latencies)} was {answer.status} {answer.body!r}")


def _connected(target: Target) -> socket.socket:
    try:
        sock = socket.create_connection(("127.0.0.1", target.port), PATIENCE)
    except OSError as error:
        raise LoadFailed(f"cannot connect to port {target.port}: {error}") from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
