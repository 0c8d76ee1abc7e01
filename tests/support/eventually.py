"""Waiting for something that becomes true, with a deadline instead of a guess."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
POLL = 0.05


async def eventually(probe: Callable[[], T | Awaitable[T]], *, within: float = 5.0, every: float = 0.02) -> T:
    """The first true value of the probe; an assertion error when there is none in time."""
    deadline = time.monotonic() + within
    while True:
        result = probe()
        value = await result if inspect.isawaitable(result) else result
        if value:
            return value
        assert time.monotonic() < deadline, f"{probe} was not true within {within} s: last {value!r}"
        await asyncio.sleep(every)


def until(condition: Callable[[], T], *, seconds: float = 60.0) -> T:
    """The same for tests without a loop: the condition's first true value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{condition} was not true within {seconds} s: last {value!r}"
        time.sleep(POLL)
    return value
