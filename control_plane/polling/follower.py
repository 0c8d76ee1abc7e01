"""Follows what one source says: asks it again and again, and keeps its last good answer.

A failed fetch changes nothing but the count of failures; what a source cannot say any more, it has not taken back.
Fetches never run side by side, however many ask for one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from control_plane.polling.answers import Unavailable
from control_plane.polling.kept import Kept, KeptAnswers
from service_kit.clock import Clock
from service_kit.log import Logger

# Seconds between two fetches that were asked for: a token can name a key that does not exist, and cost nothing more.
LEAST_INTERVAL: Final = 30.0
# Seconds until the first fetch after one that failed; twice as long after each more, at most the usual interval.
FIRST_RETRY: Final = 1.0
MOST_DOUBLINGS: Final = 20
# Share of an interval by which it is shorter or longer, so that replicas and sources do not fall into step.
SPREAD: Final = 0.1
# Seconds after a change in which it may still be on its way to who asks.
ON_ITS_WAY: Final = 3.0


class Polled(Protocol):
    """What is asked: `name` is what an answer is kept under, `refresh` the seconds between two fetches."""

    @property
    def name(self) -> str: ...

    @property
    def refresh(self) -> float: ...


Source = TypeVar("Source", bound=Polled)
Found = TypeVar("Found")


@dataclass(frozen=True)
class Polling(Generic[Source, Found]):
    """How sources of one kind are followed: `what` is asked of them, `fetch` (with the last answer) asks.

    It raises Unavailable. `changed` hears of each new answer, `bound` is the log of what concerns a source.
    """

    what: str
    fetch: Callable[[Source, Found | None], Awaitable[Found]]
    kept: KeptAnswers[Found]
    bound: Callable[[Source], Logger]
    changed: Callable[[], None]
    clock: Clock
    random: Callable[[], float]


class Follower(Generic[Source, Found]):
    """What one source says; `run` does the work."""

    def __init__(self, source: Source, polling: Polling[Source, Found]) -> None:
        self.source = source
        self.kept: Kept[Found] | None = None
        self.failures = 0  # since the last good fetch
        self.fetches = 0
        self.failed = 0
        self.reason = ""
        self.tried = asyncio.Event()
        self.awaited = False  # by a configuration that was to go live
        self.answers = False  # the last time it was asked
        self.turned_at = polling.clock.now()  # when it began to answer, or ceased to
        self._polling = polling
        self._clock = polling.clock
        self._log = polling.bound(source)
        self._flight: asyncio.Task[None] | None = None
        self._asked_at = -LEAST_INTERVAL
        self._changed_at = -ON_ITS_WAY

    async def begin(self, before: "Follower[Source, Found] | None") -> None:
        """Goes on from one that followed the same with other settings, or from what an earlier process kept."""
        if before is not None and before.kept is not None:
            self.kept, self.answers, self.turned_at = before.kept, before.answers, before.turned_at
            return
        self.kept = await asyncio.to_thread(self._polling.kept.load, self.source.name)
        if self.kept is not None:
            self.turned_at = self.kept.at  # nobody knows of it since

    async def run(self) -> None:
        """Fetches forever."""
        while True:
            await self._fetch()
            await asyncio.sleep(self.pause())

    async def refresh(self) -> bool:
        """Fetches now, unless that was asked for a moment ago; whether another answer is on its way to who asks."""
        now = self._clock.monotonic()
        if self._flight is not None or now - self._asked_at >= LEAST_INTERVAL:
            self._asked_at = now if self._flight is None else self._asked_at
            await self._fetch()
        return self._clock.monotonic() - self._changed_at < ON_ITS_WAY

    def pause(self) -> float:
        """Seconds until the next fetch."""
        usual = self.source.refresh
        if self.failures:
            usual = min(usual, FIRST_RETRY * 2 ** min(self.failures - 1, MOST_DOUBLINGS))
        return usual * (1 + SPREAD * (2 * self._polling.random() - 1))

    async def _fetch(self) -> None:
        """One fetch; who comes while one is under way waits for that one."""
        if self._flight is None:
            self._flight = asyncio.create_task(self._fetched())
            self._flight.add_done_callback(self._landed)
        await asyncio.shield(self._flight)

    def _landed(self, _flight: asyncio.Task[None]) -> None:
        self._flight = None
        self.tried.set()

    async def _fetched(self) -> None:
        self.fetches += 1
        try:
            found = await self._polling.fetch(self.source, None if self.kept is None else self.kept.found)
        except Unavailable as error:
            self._missed(str(error))
            return
        except Exception as error:  # noqa: BLE001 - what another server says costs its own source, not this process
            self._log.exception(f"{self._polling.what} not readable")
            self._missed(f"a fault while reading it: {error!r}")
            return
        if self.failures:
            self._log.info(f"{self._polling.what} fetched again", failures=self.failures)
        self.failures, self.reason = 0, ""
        is_new = self.kept is None or found != self.kept.found
        self.kept = Kept(found, self._clock.now())
        self._turn(answers=True)
        if is_new:
            self._changed_at = self._clock.monotonic()
            self._log.info(f"{self._polling.what} changed")
            self._polling.changed()
        await self._keep(self.kept)

    def _missed(self, reason: str) -> None:
        self.failures += 1
        self.failed += 1
        self._turn(answers=False)
        log = self._log.warning if reason != self.reason else self._log.debug  # once a reason, not once an attempt
        self.reason = reason
        log(f"{self._polling.what} not fetched", reason=reason, have_one=self.kept is not None)

    def _turn(self, *, answers: bool) -> None:
        if answers is not self.answers:
            self.answers, self.turned_at = answers, self._clock.now()

    async def _keep(self, kept: Kept[Found]) -> None:
        """A disk that is full costs the next start without the source, not this process."""
        try:
            await asyncio.to_thread(self._polling.kept.save, self.source.name, kept)
        except OSError as error:
            self._log.error(f"{self._polling.what} not kept", reason=str(error))
