"""Asks for the newer keys of an issuer where a token names one that is not known, and waits a moment for them.

Anybody can write a token that names a key, so an issuer is asked about once in half a minute, however many tokens do:
those that come meanwhile wait together for the one answer, those that come later are refused at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from service_kit.clock import Clock

# Seconds: well below the second that Envoy gives a decision.
LONGEST_WAIT: Final = 0.8
LEAST_INTERVAL: Final = 30.0

# Whether newer keys of this issuer are on their way.
Ask = Callable[[str], Awaitable[bool]]


async def no_newer_keys(_issuer: str) -> bool:
    """For an authorizer that has nobody to ask."""
    return False


class PolicyChanges:
    """Tells who waits that there is another policy."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def tell(self) -> None:
        """There is one now."""
        self._next.set()
        self._next = asyncio.Event()

    def next(self) -> asyncio.Event:
        """Set once there is another policy than at this moment."""
        return self._next


class NewerKeys:
    """Knows when each issuer was asked about last; `ask` is who can tell, once there is somebody."""

    def __init__(self, changes: PolicyChanges, clock: Clock) -> None:
        self.ask: Ask = no_newer_keys
        self._changes = changes
        self._clock = clock
        self._asked_at: dict[str, float] = {}
        self._asking: dict[str, asyncio.Task[bool]] = {}

    async def of(self, issuer: str) -> bool:
        """Whether there is a newer policy to judge its tokens by; `issuer` is one of the policy's own."""
        now = self._clock.monotonic()
        if issuer not in self._asking and now - self._asked_at.get(issuer, -LEAST_INTERVAL) < LEAST_INTERVAL:
            return False
        if issuer not in self._asking:
            self._asked_at[issuer] = now
            self._asking[issuer] = asyncio.create_task(self._asked(issuer))
            self._asking[issuer].add_done_callback(lambda _: self._asking.pop(issuer))
        return await asyncio.shield(self._asking[issuer])

    async def _asked(self, issuer: str) -> bool:
        changed = self._changes.next()
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT):
                if await self.ask(issuer):
                    await changed.wait()
        return changed.is_set()
