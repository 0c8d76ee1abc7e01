"""When keys were last used, as services tell it: gathered in memory, and written down now and then.

Nothing depends on it, so a database that is away costs what was gathered beyond a bound, and nobody waits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final

from control_plane.keys.errors import StoreUnavailable, StoreUnusable

# Seconds between two times of writing.
EVERY: Final = 5.0
# Of one transaction: whoever revokes a key meanwhile waits for no more.
AT_ONCE: Final = 500
# Keys that are remembered while nothing can be written.
MOST_REMEMBERED: Final = 200_000


class Uses:
    """The latest use of each key that was not written down yet."""

    def __init__(self, write: Callable[[Mapping[str, float]], Awaitable[None]]) -> None:
        self._write = write
        self._latest: dict[str, float] = {}

    def note(self, times: Mapping[str, float]) -> None:
        """Seconds since the epoch by the key's id."""
        for key_id, at in times.items():
            if key_id in self._latest or len(self._latest) < MOST_REMEMBERED:
                self._latest[key_id] = max(at, self._latest.get(key_id, at))

    async def run(self) -> None:
        """Writes, forever."""
        while True:
            await asyncio.sleep(EVERY)
            await self.write_down()

    async def write_down(self) -> None:
        """Writes what was gathered; it is kept where that cannot be."""
        taken, self._latest = self._latest, {}
        for ids in _batches(list(taken), AT_ONCE):
            try:
                await self._write({key_id: taken[key_id] for key_id in ids})
            except (StoreUnavailable, StoreUnusable):  # Identities says so once
                self.note(taken)
                return


def _batches(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (ids[at : at + size] for at in range(0, len(ids), size))
