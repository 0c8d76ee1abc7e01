"""What counters take in the store: many callers, each with one counter."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.ratelimit.effort import Effort
from bench.ratelimit.services import SETTINGS
from bench.ratelimit.store_told import told
from ratelimit_service.applying import claim
from ratelimit_service.claims import Calendar, CalendarUnit, Claim
from ratelimit_service.connections import StoreOptions
from ratelimit_service.counters import Counters
from ratelimit_service.descriptors import Caller
from ratelimit_service.policy import Dimension, Rule
from ratelimit_service.scripts import Reply, Scripts, Step
from ratelimit_service.store import redis_store
from ratelimit_service.windows import MICROSECONDS, SUB_WINDOWS, Window
from service_kit.clock import SystemClock
from tests.support.valkey import valkey_server

PATIENT = StoreOptions(timeout=0.9)
AT_ONCE = 64
WINDOW = Window(100, 3600 * MICROSECONDS)
QUOTA = Calendar(100, CalendarUnit.MONTH)


@dataclass(frozen=True)
class Kept:
    """Bytes that so many counters take."""

    what: str
    keys: int
    bytes: int


class _Shifted:
    """Scripts that believe it is when we say."""

    clustered: Final = False

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self.now = int(SystemClock().now() * MICROSECONDS)

    async def call(self, step: Step) -> Reply:
        return await self._scripts.call(replace(step, arguments=(self.now, *step.arguments[1:])))


def kept(folder: Path, effort: Effort) -> list[Kept]:
    """Of each kind of counter."""
    per = (Dimension.CONSUMER,)
    window = Rule("plan/free", "free:100/hour", "requests", WINDOW, per)
    quota = Rule("plan/free", "free:100/month", "requests", QUOTA, per)
    kinds = (
        ("sliding window, calls in one of its parts", window, effort.keys, 1),
        (f"sliding window, calls in all {SUB_WINDOWS} of its parts", window, effort.full_keys, SUB_WINDOWS),
        ("calendar window", quota, effort.keys, 1),
    )
    return [Kept(what, keys, asyncio.run(_bytes(folder, rule, keys, parts))) for what, rule, keys, parts in kinds]


async def _bytes(folder: Path, rule: Rule, keys: int, parts: int) -> int:
    place = folder / f"kept-{rule.is_quota}-{parts}"
    place.mkdir()
    with valkey_server(place, settings={**SETTINGS, "--appendonly": "no"}) as server:
        store = redis_store(server.address, PATIENT)
        shifted = _Shifted(store)
        counters = Counters(shifted, SystemClock())
        await counters.take([_claim(rule, -1)])  # the scripts, too, take memory
        before = int(told(server, "memory")["used_memory"])
        for _ in range(parts):
            for some in _portions(keys):
                await asyncio.gather(*(counters.take([_claim(rule, number)]) for number in some))
            shifted.now += WINDOW.length
        await store.close()
        return int(told(server, "memory")["used_memory"]) - before


def _portions(keys: int) -> Iterator[range]:
    for first in range(0, keys, AT_ONCE):
        yield range(first, min(first + AT_ONCE, keys))


def _claim(rule: Rule, number: int) -> Claim:
    caller = Caller("email", f"subject-{number}", f"tenant-{number // 10}", f"consumer-{number:07}", "free")
    return claim(rule, caller, 1)
