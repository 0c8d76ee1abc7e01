"""From an edit of one file to the ACK of the last of many clients, which share the machine with the control plane."""

import json
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO

from bench.load import LoadFailed
from bench.resources import cpu_seconds, memory_of
from bench.xds.corpus import Edit
from bench.xds.follower import Received
from bench.xds.plane import Plane

CONTROL_PLANE = "control_plane"
PATIENCE = 90.0
# As many processes as the machine has cores, where there is enough for each to do.
PROCESSES = 2
WORTH_A_PROCESS = 10
# Responses of an edit: a changed cluster's endpoints are sent again, which is what warms it.
RESPONSES = {Edit.ROUTE: 1, Edit.ENDPOINT: 1, Edit.CLUSTER: 2}


@dataclass(frozen=True)
class Protocol:
    """How a client asks; with `hosts` it takes the route table by its virtual hosts."""

    delta: bool
    hosts: bool = False


@dataclass(frozen=True)
class Fanned:
    """One edit: seconds from the file to the last ACK, and of them those after the first client had it.

    CPU seconds of the control plane and of all clients, until they were quiet; bytes of all messages.
    """

    total: float
    spread: float
    size: int
    server_cpu: float
    client_cpu: float


@dataclass(frozen=True)
class Crowd:
    """Connected clients, and the seconds in which all of them came and got all they ask for."""

    plane: Plane
    processes: Sequence["subprocess.Popen[bytes]"]
    clients: int
    connected: float

    def edit(self, kind: Edit, number: int) -> Fanned:
        """Makes an edit and waits until every client has accepted all of it."""
        for process in self.processes:
            _pipe(process.stdin).write(b"%d\n" % RESPONSES[kind])
            _pipe(process.stdin).flush()
        for process in self.processes:
            _line(process, PATIENCE)
        before = self._cpu()
        start = self.plane.clock.monotonic()
        self.plane.corpus.edit(kind, number)
        seen = _all_received(self.processes)
        server, client = (after - earlier for after, earlier in zip(self._cpu(), before, strict=True))
        if seen.responses != RESPONSES[kind] * self.clients:
            raise LoadFailed(f"{seen.responses} responses to {self.clients} clients after an edit of a {kind.value}")
        return Fanned(seen.last - start, seen.last - seen.first, seen.size, server, client)

    def _cpu(self) -> tuple[float, float]:
        return cpu_seconds(self.plane.pid), sum(cpu_seconds(process.pid) for process in self.processes)

    def memory(self) -> int:
        """Bytes of the control plane."""
        return memory_of({CONTROL_PLANE: self.plane.pid})[CONTROL_PLANE].rss


@contextmanager
def connected(plane: Plane, clients: int, protocol: Protocol, *, routes: bool) -> Iterator[Crowd]:
    """So many clients that have all they ask for."""
    with ExitStack() as stack:
        some = PROCESSES if clients >= WORTH_A_PROCESS else 1
        counts = [clients // some + (number < clients % some) for number in range(some)]
        processes = [
            stack.enter_context(_process(plane, sum(counts[:number]), count, protocol, routes=routes))
            for number, count in enumerate(counts)
        ]
        seen = _all_received(processes)
        yield Crowd(plane, processes, clients, seen.last - seen.first)


@contextmanager
def _process(
    plane: Plane, first: int, count: int, protocol: Protocol, *, routes: bool
) -> Iterator["subprocess.Popen[bytes]"]:
    said = {
        "socket": str(plane.socket), "first": first, "count": count, "upstreams": plane.corpus.upstreams,
        "delta": protocol.delta, "hosts": protocol.hosts, "routes": routes,
    }  # fmt: skip
    command = [sys.executable, "-m", "bench.xds.followers", json.dumps(said)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def _all_received(processes: Sequence["subprocess.Popen[bytes]"]) -> Received:
    found = [Received(**json.loads(_line(process, PATIENCE))) for process in processes]
    return Received(
        responses=sum(item.responses for item in found),
        size=sum(item.size for item in found),
        first=min(item.first for item in found),
        last=max(item.last for item in found),
    )


def _line(process: "subprocess.Popen[bytes]", patience: float) -> bytes:
    output = _pipe(process.stdout)
    readable, _, _ = select.select([output], (), (), patience)
    line = output.readline() if readable else b""
    if not line:
        raise LoadFailed(f"clients did not have what they asked for in {patience:g} s, or have ended")
    return line


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("a process without pipes")
    return stream
