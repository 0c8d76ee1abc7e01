"""All sources of one kind that the live configuration names, and those of one that is about to be live."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Final, Generic

from control_plane.polling.follower import Follower, Found, Polling, Source

# Seconds that a configuration waits for the first answers of new sources; it goes live without them then.
FIRST_ANSWERS: Final = 3.0


class Followers(Generic[Source, Found]):
    """Follows them; `run` does the work. `lacks` says of which a configuration waits for the first answer."""

    def __init__(
        self,
        polling: Polling[Source, Found],
        lacks: Callable[[Follower[Source, Found]], bool] = lambda item: item.kept is None,
    ) -> None:
        self.live: frozenset[Source] = frozenset()
        self.all: Mapping[Source, Follower[Source, Found]] = {}
        self._polling = polling
        self._lacks = lacks
        self._rearranged = asyncio.Event()

    async def prepare(self, sources: Collection[Source], *, seconds: float = FIRST_ANSWERS) -> None:
        """Follows these too; returns once each of them has an answer or was tried, or after so many seconds.

        Each is waited for once: one that hangs holds up no later configuration.
        """
        await self._follow({*self.live, *sources})
        lacking = [item for item in map(self.all.__getitem__, sources) if self._lacks(item) and not item.awaited]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(item.tried.wait() for item in lacking))
        for item in lacking:
            item.awaited = True

    async def follow(self, sources: Collection[Source]) -> None:
        """Follows these and no others, from now on."""
        await self._follow(sources)
        self.live = frozenset(sources)  # not before: what is live is followed, whoever looks meanwhile

    async def run(self) -> None:
        """Fetches, forever."""
        running: dict[Follower[Source, Found], asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._rearranged.clear()
                wanted = set(self.all.values())
                for item in running.keys() - wanted:
                    running.pop(item).cancel()
                for item in wanted - running.keys():
                    running[item] = tasks.create_task(item.run())
                await self._rearranged.wait()

    async def _follow(self, sources: Collection[Source]) -> None:
        fresh = {source: Follower(source, self._polling) for source in sources if source not in self.all}
        before = {item.source.name: item for item in self.all.values() if item.kept is not None}
        for item in fresh.values():
            await item.begin(before.get(item.source.name))
        known = {**self.all, **fresh}
        self.all = {source: known[source] for source in sources}
        self._rearranged.set()
