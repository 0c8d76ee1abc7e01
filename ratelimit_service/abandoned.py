"""Calls whose caller has gone before it was answered: what they took is given back.

The end of such a stream is told, by a filter that does not wait as the one that asks does, but it may come here before
its call has taken anything, and then finds nothing to settle. Without this, what is taken after it would be held until
the lease is over, and charged.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from ratelimit_service.metrics import LimitMetrics
from service_kit.log import Logger

T = TypeVar("T")


class Unbroken:
    """Work that goes on to its end whoever waits for it."""

    def __init__(self, metrics: LimitMetrics, log: Logger) -> None:
        self._metrics = metrics
        self._log = log
        self._under_way: set[asyncio.Task[Any]] = set()  # Any: of any result

    async def done(self, work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[bool]] | None = None) -> T:
        """The result; where nobody waits for it any more, it is undone. `undo` answers whether there was something."""
        task = asyncio.create_task(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._follow(self._left(task, undo))
            raise

    def _follow(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _left(self, task: asyncio.Task[T], undo: Callable[[T], Awaitable[bool]] | None) -> None:
        try:
            result = await task
            if undo is not None and await undo(result):
                self._metrics.abandoned()
        except Exception:  # noqa: BLE001 - the outermost edge of work that nobody waits for
            self._log.exception("a call without a caller failed")
