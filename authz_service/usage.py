"""Which API keys were used: remembered here, told to the control plane a few times a minute.

What cannot be told stays for the next time: at most one time a key, the last.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import grpc

from service_kit.clock import Clock
from service_kit.feedback import Feedback
from service_kit.log import Logger

EVERY: Final = 10.0


class KeyUses:
    """The last use of each key since they were taken away."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._uses: dict[str, int] = {}

    def used(self, key_id: str) -> None:
        """Notes a use now."""
        self._uses[key_id] = int(self._clock.now())

    def taken(self) -> dict[str, int]:
        """The uses, in seconds since the epoch by key; they are not held any longer."""
        uses, self._uses = self._uses, {}
        return uses

    def put_back(self, uses: Mapping[str, int]) -> None:
        """Takes back what could not be told, but for keys that were used since."""
        self._uses = {**uses, **self._uses}


async def tell_uses(uses: KeyUses, feedback: Feedback, *, log: Logger, every: float = EVERY) -> None:
    """Tells the control plane, forever."""
    while True:
        await asyncio.sleep(every)
        await tell(uses, feedback, log)


async def tell(uses: KeyUses, feedback: Feedback, log: Logger) -> None:
    """Tells what there is to tell; keeps it where nobody listens."""
    taken = uses.taken()
    if not taken:
        return
    try:
        await feedback.keys_used(taken)
    except grpc.aio.AioRpcError as error:
        uses.put_back(taken)
        log.debug("uses of keys not told", count=len(taken), code=error.code().name)
