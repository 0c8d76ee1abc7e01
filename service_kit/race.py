"""Running several coroutines until the first of them ends, and leaving none behind."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first_ended(*work: Coroutine[Any, Any, None]) -> int:
    """The index of the work that ended first; its error is raised. The rest is cancelled and waited for."""
    tasks = [asyncio.create_task(item) for item in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        return next(index for index, task in enumerate(tasks) if task in done)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
