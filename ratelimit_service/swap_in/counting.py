"""Counts hits in fixed windows: one step of one script for all counters of a call, by the store's own clock.

Counters of one call may live on different servers of a cluster: there each is a step of its own, unless counters are
to know of each other, for which all of a domain share a slot.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ratelimit_service.keys import slot_name
from ratelimit_service.scripts import Reply, Scripts, Step, script
from ratelimit_service.swap_in.rules import Limit

FIXED: Final = script("fixed.lua")


@dataclass(frozen=True)
class Counter:
    """One counter of one call; hits below zero are given back, zero only looks."""

    domain: str
    entries: tuple[tuple[str, str], ...]
    limit: Limit
    hits: int


@dataclass(frozen=True)
class Counted:
    """The store's time in whole seconds, and the count of each counter, in the order asked."""

    now: int
    counts: tuple[int, ...]


def of_server() -> str:
    """The time argument that leaves the time to the store, whose clock all replicas of this service share."""
    return ""


class FixedWindows:
    """The counters behind a store. `only_over`: once one is over its limit, only what is over is counted."""

    def __init__(
        self, scripts: Scripts, *, prefix: str = "", only_over: bool = False, now: Callable[[], int | str] = of_server
    ) -> None:
        self._scripts = scripts
        self._prefix = prefix
        self._only_over = only_over
        self._now = now

    async def count(self, counters: Sequence[Counter]) -> Counted:
        """Counts all of them; StoreUnavailable leaves open whether that was done."""
        keys = [self._key(counter) for counter in counters]
        if not self._scripts.clustered or self._only_over:
            now, *counts = _numbers(await self._scripts.call(self._step(keys, counters)))
            return Counted(now, tuple(counts))
        # Equal counters are counted one after the other, whatever the order of the replies.
        steps = (self._step([key], [counter]) for key, counter in zip(keys, counters, strict=True))
        replies = [_numbers(reply) for reply in await asyncio.gather(*map(self._scripts.call, steps))]
        return Counted(replies[0][0], tuple(count for _, count in replies))

    def _step(self, keys: Sequence[str], counters: Sequence[Counter]) -> Step:
        arguments: list[int | str] = [self._now(), int(self._only_over)]
        for counter in counters:
            arguments += (counter.limit.unit.seconds, counter.limit.requests, counter.hits)
        return Step(FIXED, tuple(keys), tuple(arguments))

    def _key(self, counter: Counter) -> str:
        """The key names the descriptor and the unit; parts are escaped, so that no two descriptors share one."""
        parts = (counter.limit.unit.name.lower(), *(part for entry in counter.entries for part in entry))
        domain, name = slot_name((counter.domain,)), slot_name(parts)
        return f"{self._prefix}tgs:{{{domain}}}:{name}" if self._only_over else f"{self._prefix}tgs:{{{domain}:{name}}}"


def _numbers(reply: Reply) -> list[int]:
    return [int(number) for number in reply]
