"""gRPC calls over one HTTP/2 connection, as an Envoy's worker has one; a generator that costs little beside a service.

Latency counts from the moment at which a call was due; of calls that are all due at once, from when it was sent.
"""

import math
import select
import socket
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import PATIENCE, LoadFailed
from ratelimit_service.server import METHOD
from service_kit.clock import Clock
from tests.support.h2_frames import CONNECTION, FIRST, HEAD, PREFACE, Flag, Kind, block, frame

CHUNK = 1 << 16
# RFC 9113, 6.9.2: what each side may send at first, and what we let the other side send.
FIRST_WINDOW = 65_535
LARGEST_WINDOW = 2**31 - 1
# Of a gRPC message: not compressed, then its length.
PREFIX = 5
HEADERS = block(METHOD, ("content-type", "application/grpc"), ("te", "trailers"), method="POST")


@dataclass(frozen=True)
class Schedule:
    """Calls, one every 1/rate seconds, and at most so many under way; at an infinite rate each waits for another."""

    rate: float
    in_flight: int


ONE = Schedule(math.inf, 1)


@dataclass(frozen=True)
class Answers:
    """What calls were answered, in the order of their ends, and seconds of each."""

    bodies: Sequence[bytes]
    latencies: Sequence[float]


def answered(path: Path, messages: Sequence[bytes], schedule: Schedule, clock: Clock) -> Answers:
    """All of them; LoadFailed where there is no answer."""
    with closing(socket.socket(socket.AF_UNIX)) as sock:
        try:
            sock.connect(str(path))
            return _Run(sock, messages, schedule, clock).finish()
        except OSError as error:
            raise LoadFailed(f"{path}: {error}") from error


def calls(path: Path, messages: Sequence[bytes], schedule: Schedule, begins: bytes, clock: Clock) -> Sequence[float]:
    """Seconds of each call; LoadFailed unless each answer begins so."""
    found = answered(path, messages, schedule, clock)
    if odd := [body for body in found.bodies if not body.startswith(begins)]:
        raise LoadFailed(f"{len(odd)} of {len(messages)} answers are not what they should be: {odd[0][:80]!r}")
    return found.latencies


@dataclass(eq=False)
class _Run:
    """One connection while it carries the calls."""

    sock: socket.socket
    messages: Sequence[bytes]
    schedule: Schedule
    clock: Clock
    bodies: list[bytes] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    due: dict[int, float] = field(default_factory=dict)
    answers: dict[int, bytes] = field(default_factory=dict)
    sent: int = 0
    window: int = FIRST_WINDOW
    received: bytes = b""

    def finish(self) -> Answers:
        more = (LARGEST_WINDOW - FIRST_WINDOW).to_bytes(4, "big")
        self.sock.sendall(PREFACE + frame(Kind.SETTINGS) + frame(Kind.WINDOW_UPDATE, more))
        start = self.clock.monotonic()
        while len(self.latencies) < len(self.messages):
            self._send(start)
            self._receive(self._patience(start))
        return Answers(self.bodies, self.latencies)

    def _may_send(self) -> bool:
        left = self.sent < len(self.messages) and len(self.due) < self.schedule.in_flight
        return left and len(self.messages[self.sent]) + PREFIX <= self.window

    def _due(self, start: float) -> float:
        return start + self.sent / self.schedule.rate

    def _send(self, start: float) -> None:
        frames = []
        while self._may_send() and (now := self.clock.monotonic()) >= self._due(start):
            stream = FIRST + 2 * self.sent
            message = self.messages[self.sent]
            data = b"\0" + len(message).to_bytes(4, "big") + message
            frames.append(frame(Kind.HEADERS, HEADERS, Flag.END_HEADERS, stream))
            frames.append(frame(Kind.DATA, data, Flag.END_STREAM, stream))
            self.due[stream] = now if math.isinf(self.schedule.rate) else self._due(start)
            self.window -= len(data)
            self.sent += 1
        if frames:
            self.sock.sendall(b"".join(frames))

    def _patience(self, start: float) -> float:
        return max(0.0, self._due(start) - self.clock.monotonic()) if self._may_send() else PATIENCE

    def _receive(self, patience: float) -> None:
        readable, _, _ = select.select((self.sock,), (), (), patience)
        if not readable:
            if patience == PATIENCE:
                raise LoadFailed(f"no answer within {PATIENCE:g} s")
            return
        chunk = self.sock.recv(CHUNK)
        if not chunk:
            raise LoadFailed("the connection was closed before its answers were whole")
        data = self.received + chunk
        while len(data) >= HEAD and len(data) >= HEAD + (size := int.from_bytes(data[:3], "big")):
            self._frame(data[3], data[4], int.from_bytes(data[5:9], "big"), data[HEAD : HEAD + size])
            data = data[HEAD + size :]
        self.received = data

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == Kind.DATA:
            self.answers[stream] = self.answers.get(stream, b"") + payload
        elif kind in (Kind.SETTINGS, Kind.PING) and not flags & Flag.ACK:
            self.sock.sendall(frame(kind, payload if kind == Kind.PING else b"", Flag.ACK))
        elif kind == Kind.WINDOW_UPDATE and stream == CONNECTION:
            self.window += int.from_bytes(payload, "big")
        elif kind in (Kind.GOAWAY, Kind.RST_STREAM):
            raise LoadFailed(f"the service ended {'the connection' if kind == Kind.GOAWAY else 'a call'}")
        if kind in (Kind.HEADERS, Kind.DATA) and flags & Flag.END_STREAM:
            self._ended(stream)

    def _ended(self, stream: int) -> None:
        answer = self.answers.pop(stream, b"")
        if not answer:
            raise LoadFailed(f"call {len(self.latencies) + 1} was refused by gRPC")
        self.bodies.append(answer[PREFIX:])
        self.latencies.append(self.clock.monotonic() - self.due.pop(stream))
