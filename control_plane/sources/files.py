"""Notices that the configuration, or a file it refers to, holds something else than before.

Directories are watched, not files: an editor replaces a file, a mounted ConfigMap swaps a symbolic link above it, a
deployment deletes and writes anew. Whether anything changed is then decided by content, so that noise in the same
directory reloads nothing. Whether the new content is any good is for the reader of the file to say.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final

from watchfiles import awatch

# A change is reported after so long without another one, and at the latest after so long in all.
QUIET_MS: Final = 100
LONGEST_MS: Final = 1_000
# So often files are looked at though nothing was heard: inotify is silent on network mounts, about a directory that is
# deleted and made again, and in the moment between two watches.
LOOK_ANYWAY_MS: Final = 500
# As many symbolic links as Linux follows (path_resolution(7)).
MOST_LINKS: Final = 40

# Inode, size and times of a file; None where there is none.
Stamp = tuple[int, ...] | None


class FileSource:
    """A configuration file and the files it depends on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = frozenset({path})
        self._rearranged = asyncio.Event()

    def watch(self, files: Iterable[Path]) -> None:
        """From now on, watch these files beside the configuration itself."""
        wanted = frozenset({self._path, *files})
        if wanted != self._files:
            self._files = wanted
            self._rearranged.set()

    async def changes(self) -> AsyncGenerator[None, None]:
        """Once as soon as the files are watched, for what changed before, then whenever their content has changed."""
        seen: Mapping[Path, bytes | None] = {}
        while True:
            self._rearranged = asyncio.Event()
            async with aclosing(self._looks()) as looks:
                async for _ in looks:
                    content = {file: digest(file) for file in self._files}
                    if content != seen:
                        seen = content
                        yield

    async def _looks(self) -> AsyncGenerator[None, None]:
        """Each moment at which the files may have changed, until other directories are to be watched."""
        directories = deciding_directories(self._files)
        reported: Mapping[Path, Stamp] | None = None
        before: Mapping[Path, Stamp] | None = None
        events = awatch(
            *directories,
            watch_filter=None,
            debounce=LONGEST_MS,
            step=QUIET_MS,
            stop_event=self._rearranged,
            rust_timeout=LOOK_ANYWAY_MS,
            yield_on_timeout=True,
            recursive=False,
            ignore_permission_denied=True,
        )
        async with aclosing(events):
            async for heard in events:
                current = {file: stamp(file) for file in self._files}
                # Without an event, twice the same: nobody is in the middle of writing.
                settled = bool(heard) or reported is None or current == before
                before = current
                if settled and (heard or current != reported):
                    reported = current
                    yield
                if self._rearranged.is_set() or deciding_directories(self._files) != directories:
                    return


def digest(file: Path) -> bytes | None:
    """What the file holds, in short; None where it cannot be read."""
    try:
        return hashlib.blake2b(file.read_bytes(), digest_size=16).digest() if file.is_file() else None
    except OSError:
        return None


def stamp(file: Path) -> Stamp:
    """What tells that a file is another one, or was written to, without reading it."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def deciding_directories(files: Iterable[Path]) -> frozenset[Path]:
    """The directories whose entries decide what these files are."""
    return frozenset(directory for file in files for directory in _directories(file))


def _directories(file: Path) -> Iterable[Path]:
    """The directory of the file and of each symbolic link on the way, or the last one that exists."""
    parts = list(Path(os.path.abspath(file)).parts)  # noqa: PTH100 - Path.resolve would follow the links
    current, links = Path(parts.pop(0)), 0
    while parts:
        part = parts.pop(0)
        step = current.parent if part == ".." else current / part
        if step.is_symlink() and links < MOST_LINKS:
            yield current
            links += 1
            target = step.readlink()
            current = Path(target.anchor) if target.is_absolute() else current
            parts = [*target.relative_to(target.anchor).parts, *parts]
        elif not parts or not step.is_dir():
            yield current
            return
        else:
            current = step
