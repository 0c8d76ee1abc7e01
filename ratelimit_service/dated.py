"""Steps that name calendar windows: those of the time as known here, and again when the store's clock says others."""

from collections.abc import Callable, Sequence
from typing import Final

from ratelimit_service import steps
from ratelimit_service.claims import Claim, Taken
from ratelimit_service.scripts import Reply, Scripts, Step, StoreUnavailable
from ratelimit_service.steps import Record
from ratelimit_service.windows import MICROSECONDS
from service_kit.clock import Clock

# A window ends once while a step is under way; more often only with clocks that cannot be believed.
ATTEMPTS: Final = 3


class DatedScripts:
    """Scripts, and how far the store's clock was before ours when that last made a difference."""

    def __init__(self, scripts: Scripts, clock: Clock) -> None:
        self.scripts = scripts
        self._clock = clock
        self._ahead = 0

    async def take(self, claims: Sequence[Claim], record: Record | None = None, *, dry: bool = False) -> Taken:
        """One take of claims that share a server."""
        reply = await self.call(lambda now: steps.take(claims, now, record, dry=dry))
        return steps.taken(reply, len(claims))

    async def call(self, step_at: Callable[[int], Step]) -> Reply:
        """The reply to the step of the windows that count now. A script that is asked for others does nothing."""
        for _ in range(ATTEMPTS):
            reply = await self.scripts.call(step_at(self._now() + self._ahead))
            if reply[0] != steps.ANOTHER_WINDOW:
                return reply
            self._ahead = int(reply[1]) - self._now()
        raise StoreUnavailable("the store's clock is in another window at every attempt")

    def _now(self) -> int:
        return int(self._clock.now() * MICROSECONDS)
