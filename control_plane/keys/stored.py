"""The stored identities beside a configuration: opened with the first one, told what each declares, never waited for.

The store and the pepper are those of the first configuration that goes live: a later one that names others is refused,
since keys that are in use would be served from the wrong place. Nothing is told of what was opened for one that never
went live. A database that cannot be opened costs what would be changed or read in it:
the services have what they were told last.
"""

import asyncio
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

from control_plane.config import model as config
from control_plane.config.errors import Problem
from control_plane.ir.model import Gateway
from control_plane.keys.clashes import clashes, moved
from control_plane.keys.distribution import Distribution
from control_plane.keys.errors import StoreUnavailable, StoreUnusable
from control_plane.keys.identities import Identities
from control_plane.keys.settings import StoreSettings, declared, kept_pepper, store_settings
from control_plane.keys.signing.keys import SigningKeys, Turned
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
        turned: Turned = lambda _: None,
    ) -> None:
        self.signing = SigningKeys(
            distribution,
            clock=clock,
            log=log,
            random_bytes=random_bytes,
            has_endpoint=issues_tokens,
            turned=turned,
        )
        # The state directory's, read once: what is live goes on though the file is lost.
        self.kept_pepper = cache(partial(kept_pepper, state_dir))
        self._distribution = distribution
        self._state_dir = state_dir
        self._clock = clock
        self._log = log
        self._random_bytes = random_bytes
        self._settings: StoreSettings | None = None
        self._identities: Identities | None = None
        self._is_live = asyncio.Event()  # a configuration with these settings
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
        """What of a configuration cannot be beside what is stored; until one is live, each opens its store."""
        try:
            meant = await asyncio.to_thread(store_settings, source, self._state_dir, self.kept_pepper)
            if meant != self._settings and not self._is_live.is_set():
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
        """Another configuration is live; with the first one, what it was prepared with."""
        self.identities.declare(declared(source))
        if self._settings is not None and not self._is_live.is_set():
            self._is_live.set()
            self.signing.keep_in(self.identities, self._settings.pepper)
            self._tell()
        self.signing.follow(source)

    def vouch(self, gateway: Gateway) -> None:
        """Envoys may judge tokens as this says, which is what is live."""
        self._distribution.vouching.follow(gateway)

    def note_uses(self, times: Mapping[str, float]) -> None:
        """Keys were used at these times, in seconds since the epoch."""
        self._uses.note(times)

    async def run(self) -> None:
        """Follows the database, writes down uses and measures, forever."""
        await self._is_live.wait()
        async with asyncio.TaskGroup() as group:
            distribution = self._distribution
            for work in (self.identities.run(), self._uses.run(), self.signing.run()):
                group.create_task(work)
            for telling in (distribution.run(), distribution.vouching.run()):
                group.create_task(telling)

    async def close(self) -> None:
        if self._identities is not None:
            await self._uses.write_down()
            await self._identities.close()

    async def _open(self, settings: StoreSettings) -> None:
        """Opens a store, in place of that of a configuration that did not go live."""
        found = Identities(
            settings.url,
            settings.pepper,
            clock=self._clock,
            log=self._log,
            random_bytes=self._random_bytes,
            changed=self._tell,
        )
        before, self._settings, self._identities = self._identities, settings, found
        if before is not None:
            await before.close()
        try:
            await found.open()
        except (StoreUnavailable, StoreUnusable) as error:
            self._log.error("stored keys cannot be read", reason=error.message, cure=error.cure)

    def _tell(self) -> None:
        if self._is_live.is_set() and (snapshot := self.identities.snapshot) is not None:
            self._distribution.tell(snapshot)

    async def _keep_uses(self, times: Mapping[str, float]) -> None:
        await self.identities.used(times)
