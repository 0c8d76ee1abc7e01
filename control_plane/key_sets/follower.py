"""Follows the key set of one issuer: fetches it again and again, and keeps the last good one for ever.

A failed fetch changes nothing but the count of failures; what an issuer cannot say any more, it has not taken back.
Fetches never run side by side, however many ask for one.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from control_plane.config.key_sets import KeySource
from control_plane.key_sets.documents import Documents, Unavailable
from control_plane.key_sets.fetching import fetched_key_set
from control_plane.key_sets.kept import KeptSet, KeptSets
from service_kit.clock import Clock
from service_kit.log import Logger

# Seconds between two fetches that were asked for: a token can name a key that does not exist, and cost nothing more.
LEAST_INTERVAL: Final = 30.0
# Seconds until the first fetch after one that failed; twice as long after each more, at most the usual interval.
FIRST_RETRY: Final = 1.0
MOST_DOUBLINGS: Final = 20
# Share of an interval by which it is shorter or longer, so that replicas and issuers do not fall into step.
SPREAD: Final = 0.1
# Seconds after a change in which it may still be on its way to who asks.
ON_ITS_WAY: Final = 3.0


class Follower:
    """The set of one source; `run` does the work, `changed` hears of each new set."""

    def __init__(
        self,
        source: KeySource,
        documents: Documents,
        kept_sets: KeptSets,
        *,
        clock: Clock,
        log: Logger,
        random: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self.source = source
        self.kept: KeptSet | None = None
        self.failures = 0  # since the last good fetch
        self.fetches = 0
        self.failed = 0
        self.reason = ""
        self.tried = asyncio.Event()
        self._documents = documents
        self._kept_sets = kept_sets
        self._clock = clock
        self._log = log.bind(issuer=source.issuer)
        self._random = random
        self._changed = changed
        self._flight: asyncio.Task[None] | None = None
        self._asked_at = -LEAST_INTERVAL
        self._changed_at = -ON_ITS_WAY

    def restored(self) -> KeptSet | None:
        """The set that an earlier process kept; blocking."""
        return self._kept_sets.load(self.source.name)

    async def run(self) -> None:
        """Fetches forever."""
        while True:
            await self._fetch()
            await asyncio.sleep(self.pause())

    async def refresh(self) -> bool:
        """Fetches now, unless that was asked for a moment ago; whether another set is on its way to who asks."""
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
        return usual * (1 + SPREAD * (2 * self._random() - 1))

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
            keys = await fetched_key_set(self.source, self._documents)
        except Unavailable as error:
            self._missed(str(error))
            return
        except Exception as error:  # noqa: BLE001 - what another server says costs its own issuer, not this process
            self._log.exception("key set not readable")
            self._missed(f"a fault while reading it: {error!r}")
            return
        if self.failures:
            self._log.info("key set fetched again", failures=self.failures)
        self.failures, self.reason = 0, ""
        is_new = self.kept is None or keys != self.kept.keys
        self.kept = KeptSet(keys, self._clock.now())
        if is_new:
            self._changed_at = self._clock.monotonic()
            self._log.info("key set changed")
            self._changed()
        await self._keep(self.kept)

    def _missed(self, reason: str) -> None:
        self.failures += 1
        self.failed += 1
        log = self._log.warning if reason != self.reason else self._log.debug  # once a reason, not once an attempt
        self.reason = reason
        log("key set not fetched", reason=reason, have_one=self.kept is not None)

    async def _keep(self, kept: KeptSet) -> None:
        """A disk that is full costs the next start without the issuer, not this process."""
        try:
            await asyncio.to_thread(self._kept_sets.save, self.source.name, kept)
        except OSError as error:
            self._log.error("key set not kept", reason=str(error))
