"""The stored identities beside a configuration: opened with the first one, told what each declares, never waited for.

The store and the pepper are those of the first configuration: one that names others is refused, since keys that are in
use would be served from the wrong place. A database that cannot be opened costs what would be changed or read in it:
the services have what they were told last.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from control_plane.config import model as config
from control_plane.config.errors import Problem
from control_plane.keys.clashes import clashes, moved
from control_plane.keys.distribution import Distribution
from control_plane.keys.errors import StoreUnavailable, StoreUnusable
from control_plane.keys.identities import Identities
from control_plane.keys.settings import StoreSettings, declared, store_settings
from control_plane.keys.signing.keys import SigningKeys
from control_plane.keys.uses import Uses
from control_plane.snapshot import EMPTY
from service_kit.api_keys import RandomBytes
from service_kit.clock import Clock
from service_kit.log import Logger


class StoredIdentities:
    """The store of this process; `identities` are there once a first configuration was prepared."""

    def __init__(
        self,
        distribution: Distribution,
        state_dir: Path,
        *,
        clock: Clock,
        log: Logger,
        random_bytes: RandomBytes,
        issues_tokens: bool = False,
    ) -> None:
        self.signing = SigningKeys(
            distribution, clock=clock, log=log, random_bytes=random_bytes, has_endpoint=issues_tokens
        )
        self._distribution = distribution
        self._state_dir = state_dir
        self._clock = clock
        self._log = log
        self._random_bytes = random_bytes
        self._settings: StoreSettings | None = None
        self._identities: Identities | None = None
        self._opened = asyncio.Event()
        self._uses = Uses(self._keep_uses)

    @property
    def identities(self) -> Identities:
        if self._identities is None:
            raise RuntimeError("the first configuration is prepared before anything is asked of the store")
        return self._identities

    @property
    def distribution(self) -> Distribution:
        return self._distribution

    @property
    def trouble(self) -> str:
        """Why keys can be neither read nor changed now; empty where they can."""
        return self.identities.trouble

    async def prepare(self, source: config.Config) -> tuple[Problem, ...]:
        """What of a configuration cannot be beside what is stored; the first one opens the store."""
        try:
            meant = await asyncio.to_thread(store_settings, source, self._state_dir)
            if self._settings is None:
                await self._open(meant)
        except StoreUnusable as error:
            return (Problem(("identity", "api_keys", "store"), error.message, error.cure),)
        stored = self.identities.snapshot or EMPTY
        return (
            *moved(meant, self._settings or meant),
            *clashes(source, stored),
            *self.signing.problems(source),
        )

    def follow(self, source: config.Config) -> None:
        """Another configuration is live."""
        self.identities.declare(declared(source))
        self.signing.follow(source)

    def note_uses(self, times: Mapping[str, float]) -> None:
        """Keys were used at these times, in seconds since the epoch."""
        self._uses.note(times)

    async def run(self) -> None:
        """Follows the database, writes down uses and measures, forever."""
        await self._opened.wait()
        async with asyncio.TaskGroup() as group:
            for work in (self.identities.run(), self._uses.run(), self._distribution.run(), self.signing.run()):
                group.create_task(work)

    async def close(self) -> None:
        if self._identities is not None:
            await self._uses.write_down()
            await self._identities.close()

    async def _open(self, settings: StoreSettings) -> None:
        found = Identities(
            settings.url,
            settings.pepper,
            clock=self._clock,
            log=self._log,
            random_bytes=self._random_bytes,
            changed=self._tell,
        )
        self._settings, self._identities = settings, found
        self.signing.keep_in(found, settings.pepper)
        try:
            await found.open()
        except (StoreUnavailable, StoreUnusable) as error:
            self._log.error("stored keys cannot be read", reason=error.message, cure=error.cure)
        self._opened.set()

    def _tell(self) -> None:
        if (snapshot := self.identities.snapshot) is not None:
            self._distribution.tell(snapshot)

    async def _keep_uses(self, times: Mapping[str, float]) -> None:
        await self.identities.used(times)
