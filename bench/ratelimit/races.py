"""Callers that ask at once for what only some of them can have: how many get it, and what that comes to in the end."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bench.ratelimit.effort import Effort
from bench.ratelimit.services import Ground
from bench.ratelimit.variants import (
    BURST,
    BURST_OUTPUT,
    BURST_TOKENS,
    SUSTAINED,
    SUSTAINED_PERIOD,
    Identity,
)
from tests.support.limiters import Callers, LimiterProcess, callers, most_in_a_window, steady_share
from tests.support.limits import asked, call, done, identified

# Seconds that a refused caller waits before it asks again.
PAUSE = 0.05
CLIENTS = 50


@dataclass(frozen=True)
class Race:
    """A burst into an empty window: what was asked, what could be afforded, and what was charged in the end."""

    what: str
    callers: int
    asked: int
    admitted: int
    charged: int
    limit: int

    @property
    def overshoot(self) -> int:
        return max(0, self.charged - self.limit)


@dataclass(frozen=True)
class Steady:
    """A sustained load: the most calls of any window, and what is admitted for long as a part of the limit."""

    seconds: float
    limit: int
    most: int
    share: float


def races(ground: Ground, effort: Effort) -> list[Race]:
    """Every number of callers on calls and on tokens, each on counters of its own."""
    service = ground.services["limits"]
    found = []
    for number in effort.callers:
        # fewer callers than can be afforded ask again
        each = -(-2 * BURST // number)
        found.append(asyncio.run(_calls(service, number, each)))
        found.append(asyncio.run(_tokens(service, number, each)))
    return found


async def _calls(service: LimiterProcess, number: int, each: int) -> Race:
    message = call(identified(route="burst", subject=f"of-{number}"))
    async with callers([service]) as clients:
        admitted = await clients.burst(number, each, lambda _client, _turn: message)
    return Race("calls", number, number * each, admitted, admitted, BURST)


async def _tokens(service: LimiterProcess, number: int, each: int) -> Race:
    """All that are admitted are under way at once, then all come to everything that was held for them."""
    caller: Identity = {"route": "chat", "plan": "burst", "consumer": f"of-{number}"}
    async with callers([service]) as clients:
        held = await _held(clients, number, each, caller)
        ends = [
            call(*done(hold, prompt=1, output=BURST_OUTPUT - 1, received=0, held=BURST_OUTPUT, **caller))
            for hold in held
        ]
        await asyncio.gather(*(clients.ask(index, message) for index, message in enumerate(ends)))
        again = await clients.burst(1, 1, lambda _client, _turn: call(*asked("again", output=BURST_OUTPUT, **caller)))
    charged = (len(held) + again) * BURST_OUTPUT
    return Race("tokens, held and settled", number, number * each, len(held), charged, BURST_TOKENS)


async def _held(clients: Callers, number: int, each: int, caller: Identity) -> Sequence[str]:
    """The holds that were admitted."""

    async def one(client: int) -> list[str]:
        names = [f"of-{number}.{client}.{turn}" for turn in range(each)]
        return [
            name for name in names
            if (await clients.ask(client, call(*asked(name, output=BURST_OUTPUT, **caller)))).admitted
        ]  # fmt: skip

    return [name for names in await asyncio.gather(*map(one, range(number))) for name in names]


def steady(ground: Ground, effort: Effort) -> Steady:
    """One sliding window under as much load as one process makes."""

    async def admitted() -> Steady:
        message = call(identified(route="sustained"))
        async with callers([ground.services["limits"]]) as clients:
            found = await clients.sustained(CLIENTS, effort.sustained, message, pause=PAUSE)
        most = most_in_a_window(found, SUSTAINED_PERIOD)
        return Steady(effort.sustained, SUSTAINED, most, steady_share(found, limit=SUSTAINED, period=SUSTAINED_PERIOD))

    return asyncio.run(admitted())
