"""The embedded store's append-only file, put on the disk once a second from outside.

The store writes before it acknowledges and leaves the disk to the kernel, which takes half a minute. Told to sync each
second itself, it acknowledges what it has not written while a slow disk syncs (docs/store.md).
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

# Seconds.
EVERY: Final = 1.0
FILES: Final = "appendonlydir/*.incr.aof"


async def keep_synced(folder: Path) -> None:
    """Syncs the store's files in a folder until it is cancelled."""
    while True:
        await asyncio.sleep(EVERY)
        await asyncio.to_thread(sync, folder)


def sync(folder: Path, to_disk: Callable[[int], None] = os.fsync) -> None:
    """Puts on the disk what was appended; a file that a rewrite has just taken away needs nothing."""
    for file in sorted(folder.glob(FILES)):
        with suppress(OSError), file.open("rb") as opened:
            to_disk(opened.fileno())
