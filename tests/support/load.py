"""Requests without a pause while a gateway is edited, each judged by what the gateway was in the meantime."""

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from tests.support.edits import Gateway, Key, Targets

WORKERS = 4
PAUSE = 0.002  # the load is there to meet changes half-way, not to be high


@dataclass(frozen=True)
class Where:
    """What a port is; connections to it are kept while it is that."""

    routes: str
    secure: bool


@dataclass(frozen=True)
class State:
    """What a request may meet: the cluster of each route, the backends of each cluster, and the ports served."""

    targets: Targets
    backends: Mapping[str, frozenset[str]]
    ports: Mapping[int, Where]


@dataclass(frozen=True)
class Failure:
    """An answer that no state of the gateway explains, and the edits that it fell among."""

    key: Key
    answer: str
    expected: frozenset[str]
    edits: tuple[int, int]
    kept: bool


class Connection:
    """One HTTP/1.1 connection; `open` is False once the other side said it would close."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open = True
        self._reader = reader
        self._writer = writer

    async def get(self, path: str, *, close: bool, host: str = "localhost") -> str:
        """The body of the answer, or its status where it is no success."""
        last = "connection: close\r\n" if close else ""
        self._writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n{last}\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        status, *lines = head.rstrip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        self.open = headers.get("connection") != "close"
        code = status.split()[1]
        return body.decode() if code == "200" else f"{code} {body.decode()}"

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


Kept = dict[int, tuple[Where, Connection]]


class Load:
    """What was asked, what failed, and the states of the gateway that answers are judged by."""

    def __init__(self, trust: ssl.SSLContext) -> None:
        self.failures: list[Failure] = []
        self.judged: Counter[bool] = Counter()  # by whether the connection was kept from an earlier request
        self._trust = trust
        self._states: list[State] = []
        self._settled = 0
        self._settled_before = 0
        self._over = False

    def edited(self, gateway: Gateway, ports: AbstractSet[int]) -> None:
        """From now on this state may answer too; `ports` are those that are served already."""
        where = {
            front.port: Where(front.routes, secure=front.secret is not None)
            for front in gateway.fronts.values()
            if front.port in ports
        }
        backends = {name: cluster.backends for name, cluster in gateway.clusters.items()}
        self._states.append(State(gateway.targets(), backends, where))

    def settled(self) -> None:
        """From now on the last state alone may answer, but for Envoy's workers that have yet to hear of it.

        Envoy says that it runs something once its main thread does; a worker that gets no CPU answers on from what it
        ran before. So an answer of the states just before is no failure; an error is.
        """
        self._settled_before, self._settled = self._settled, len(self._states) - 1

    def stop(self) -> None:
        self._over = True

    async def work(self, choice: random.Random) -> None:
        """Asks until it is stopped, every second time on a connection that it keeps."""
        kept: Kept = {}
        while not self._over:
            await asyncio.sleep(PAUSE)
            before, since = self._settled_before, self._settled
            state = self._states[-1]
            key = choice.choice(sorted(state.targets))
            if key[0] not in state.ports or not self._stands(key, since):
                continue
            await self._ask(key, (before, since), state.ports[key[0]], kept if choice.random() < 0.5 else None)
        for _, connection in kept.values():
            await connection.close()

    async def _ask(self, key: Key, span: tuple[int, int], where: Where, kept: Kept | None) -> None:
        """One request; its connection is kept where it is known what it was opened to."""
        before, since = span
        known = all(state.ports.get(key[0]) == where for state in self._states[since:])
        held = await self._kept(key[0], where, kept)
        try:
            connection = held or await self._opened(key[0], where)
            answer = await connection.get(f"/{key[1]}", close=kept is None)
        except (OSError, asyncio.IncompleteReadError) as error:
            answer = repr(error)
        else:
            if kept is not None and connection.open and (held or known):
                kept[key[0]] = (where, connection)
            else:
                await connection.close()
        self._judge(key, before, since, answer, kept=held is not None)

    async def _kept(self, port: int, where: Where, kept: Kept | None) -> Connection | None:
        found, connection = (kept or {}).pop(port, (where, None))
        if connection is not None and found != where:
            await connection.close()
            return None
        return connection

    async def _opened(self, port: int, where: Where) -> Connection:
        tls = {"ssl": self._trust, "server_hostname": "localhost"} if where.secure else {}
        return Connection(*await asyncio.open_connection("127.0.0.1", port, **tls))

    def _judge(self, key: Key, before: int, since: int, answer: str, *, kept: bool) -> None:
        """A route that left while it was asked may say what it likes."""
        if not self._stands(key, since):
            return
        self.judged[kept] += 1
        expected = self._expected(key, before)
        if answer not in expected:
            self.failures.append(Failure(key, answer, expected, (since, len(self._states) - 1), kept))

    def _stands(self, key: Key, since: int) -> bool:
        """Whether every state since then has such a route."""
        return all(key in state.targets for state in self._states[since:])

    def _expected(self, key: Key, since: int) -> frozenset[str]:
        """All that may answer with the states since then.

        Routes and endpoints are resources of their own and change one after the other: where one edit moves a route and
        gives the cluster that it leaves other endpoints, the old route meets the new endpoints for a moment.
        """
        states = self._states[since:]
        targets = {state.targets[key] for state in states if key in state.targets}
        return frozenset().union(*(state.backends.get(name, ()) for state in states for name in targets))


@asynccontextmanager
async def load(trust: ssl.SSLContext, gateway: Gateway, ports: AbstractSet[int], seed: int) -> AsyncIterator[Load]:
    """Load on a gateway that serves already, until the block ends."""
    found = Load(trust)
    found.edited(gateway, ports)
    tasks = [asyncio.create_task(found.work(random.Random(seed + number))) for number in range(WORKERS)]
    try:
        yield found
    finally:
        found.stop()
        await asyncio.gather(*tasks)
