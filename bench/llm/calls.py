"""A load of calls, so many under way at a time, each answer read as it comes and compared with what it should be.

A chunk is late by the time between its sending, which stands in it, and its coming; a gap is the time between two.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop

from bench.llm.asks import MICROSECONDS, STAMP, Ask
from bench.llm.effort import Kind
from bench.llm.messages import MessageReader
from bench.load import PATIENCE, LoadFailed
from service_kit.clock import Clock

OK = 200


@dataclass(frozen=True)
class Place:
    """Where calls go, and the token that they carry."""

    port: int
    token: str


@dataclass(frozen=True)
class Seen:
    """What callers saw, in seconds: from a call to its first token or whole answer, of chunks their way and gaps."""

    firsts: Sequence[float]
    lates: Sequence[float]
    gaps: Sequence[float]
    seconds: float


@dataclass
class _Telling:
    """One answer while it comes."""

    ask: Ask
    sent: float
    reader: MessageReader = field(default_factory=MessageReader)
    rest: bytes = b""
    arrivals: list[float] = field(default_factory=list)
    lates: list[float] = field(default_factory=list)

    def receive(self, data: bytes, now: float) -> bool:
        """Whether the answer is whole; LoadFailed where it is not the right one."""
        self.rest += self.reader.receive(data)
        end = 0
        for found in STAMP.finditer(self.rest):
            if int(found[1]) != len(self.arrivals):
                raise LoadFailed(f"chunk {int(found[1])} came as number {len(self.arrivals)}")
            self.arrivals.append(now)
            self.lates.append(now - int(found[2]) / MICROSECONDS)
            end = found.end()
        self.rest = self.rest[end:]
        if self.reader.whole:
            self._check()
        return self.reader.whole

    def _check(self) -> None:
        if self.reader.status != OK:
            raise LoadFailed(f"answered {self.reader.status} {self.rest[:500]!r}")
        if len(self.arrivals) != self.ask.stamps:
            raise LoadFailed(f"{len(self.arrivals)} chunks of {self.ask.stamps} came; behind them {self.rest[:500]!r}")
        if missing := self.ask.missing(self.rest):
            raise LoadFailed(f"no {missing} in {self.rest[:500]!r}")


@dataclass
class _Load:
    """All calls of a load."""

    place: Place
    ask: Ask
    left: int
    clock: Clock
    keeps: bool
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    # How often something came, of whatever answer.
    heard: int = 0
    failure: LoadFailed | None = None
    firsts: list[float] = field(default_factory=list)
    lates: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)

    def begin(self) -> _Telling | None:
        """A call more, where there is one."""
        if self.left == 0 or self.failure is not None:
            return None
        self.left -= 1
        self.under_way += 1
        return _Telling(self.ask, self.clock.monotonic())

    def end(self, told: _Telling, now: float) -> None:
        self.under_way -= 1
        if self.keeps:
            self.firsts.append((told.arrivals[0] if told.arrivals else now) - told.sent)
            self.lates += told.lates
            self.gaps += (later - earlier for earlier, later in zip(told.arrivals, told.arrivals[1:], strict=False))
        if self.left == 0 and self.under_way == 0:
            self.ended.set()

    def fail(self, why: LoadFailed) -> None:
        self.failure = self.failure or why
        self.ended.set()

    async def finish(self) -> None:
        """Returns at the end; fails where nothing comes for a while."""
        while not self.ended.is_set():
            before = self.heard
            try:
                await asyncio.wait_for(self.ended.wait(), PATIENCE)
            except TimeoutError:
                if self.heard == before:
                    self.fail(LoadFailed(f"nothing came within {PATIENCE:g} s"))
        if self.failure is not None:
            raise self.failure


class _Caller(asyncio.Protocol):
    """One connection, one call at a time."""

    def __init__(self, load: _Load, request: bytes) -> None:
        self._load = load
        self._request = request
        self._transport: asyncio.WriteTransport | None = None
        self._telling: _Telling | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of asyncio's shape, not of its classes
        self._transport = cast("asyncio.WriteTransport", transport)
        self._next(self._transport)

    def data_received(self, data: bytes) -> None:
        telling, now = self._telling, self._load.clock.monotonic()
        self._load.heard += 1
        try:
            if telling is not None and telling.receive(data, now):
                self._load.end(telling, now)
                self._telling = None
                if self._transport is not None:
                    self._next(self._transport)
        except (LoadFailed, ValueError) as error:
            self._load.fail(LoadFailed(str(error)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._telling is not None:
            self._load.fail(LoadFailed(f"a connection was closed before its answer was whole: {exc}"))

    def close(self) -> None:
        self._telling = None
        if self._transport is not None:
            self._transport.close()

    def _next(self, transport: asyncio.WriteTransport) -> None:
        self._telling = self._load.begin()
        if self._telling is None:
            transport.close()
        else:
            transport.write(self._request)


def calls(place: Place, ask: Ask, kind: Kind, clock: Clock, *, keeps: bool = True) -> Seen:
    """Calls of a kind; LoadFailed unless each got the right answer. What is not kept takes no memory."""

    async def made() -> Seen:
        load = _Load(place, ask, kind.calls, clock, keeps)
        start = clock.monotonic()
        await _made(load, min(kind.connections, kind.calls), kind.spread)
        return Seen(load.firsts, load.lates, load.gaps, clock.monotonic() - start)

    return uvloop.run(made())


async def _made(load: _Load, connections: int, spread: float) -> None:
    loop, request = asyncio.get_running_loop(), load.ask.request(load.place.port, load.place.token)
    callers: list[_Caller] = []
    try:
        for _ in range(connections):
            _, caller = await loop.create_connection(lambda: _Caller(load, request), "127.0.0.1", load.place.port)
            callers.append(caller)
            await asyncio.sleep(spread)
        await load.finish()
    except OSError as error:
        raise LoadFailed(f"cannot connect to port {load.place.port}: {error}") from error
    finally:
        for caller in callers:
            caller.close()
