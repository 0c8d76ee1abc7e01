"""Notices that the configuration, or a file it refers to, holds something else than before, and that it is whole.

Directories are watched, not files: an editor replaces a file, a mounted ConfigMap swaps a symbolic link above it, a
deployment deletes and writes anew. Whether anything changed is then decided by content, so that noise in the same
directory reloads nothing. Whether the new content is any good is for the reader of the file to say.

A file that is written in place is left alone while somebody has it open for writing, or wrote to it a moment ago. One
that took the place of another is whole: it waits only for others that are replaced along with it.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final

from watchfiles import awatch
from watchfiles._rust_notify import WatchfilesRustInternalError

from control_plane.config.files import Digest, Stamp, UnreadableFile, configuration_files, digest, stamp
from control_plane.sources.writers import Writers

# Noise of one edit is heard as one event. So often a thread wakes, also where nothing is ever edited.
QUIET_MS: Final = 50
LONGEST_MS: Final = 1_000
# So often files are looked at though nothing was heard: inotify is silent on network mounts, about a directory that is
# deleted and made again, and in the moment between two watches. A millisecond longer for each file: thousands of them
# must not keep the processor busy.
LOOK_ANYWAY_MS: Final = 500
# A file is whole when it stayed the same for so long and nobody has it open for writing; seconds. A writer that closes
# a file half-written, or cannot be seen, and pauses for longer is taken to be done.
SETTLED_AFTER: Final = 0.25
# The same of files that were replaced: so long is waited for the next one of a burst, as a checkout makes them.
REPLACED_AFTER: Final = 0.1
# Files that never settle are read after so long: a writer that never closes must not keep every change from going live.
LONGEST_WRITE: Final = 10.0
# As many symbolic links as Linux follows (path_resolution(7)).
MOST_LINKS: Final = 40

Stamps = Mapping[Path, Stamp]


class FileSource:
    """A configuration, which is a file or a directory, and the files it depends on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._named: frozenset[Path] = frozenset()
        self._read: Mapping[Path, Digest] = {}
        self._listed: frozenset[Path] | None = None
        self._rearranged = asyncio.Event()
        self._writers = Writers()

    def watch(self, files: Mapping[Path, Digest]) -> None:
        """From now on, watch these files beside the configuration itself; given is what was read of them."""
        named = frozenset(files)
        self._read = {**files, **self._read}
        if named != self._named:
            self._named = named
            self._rearranged.set()

    async def changes(self) -> AsyncGenerator[None, None]:
        """Whenever the files hold something else than was read of them; at once where they do already."""
        # A refused lease says something only where one was granted before: asked for before the first writer comes.
        await asyncio.to_thread(self._writers.write_to, await self._stamps())
        while True:
            self._rearranged = asyncio.Event()
            async with aclosing(self._looks_without_fail()) as looks:
                async for files in looks:
                    content = await asyncio.to_thread(_digests, files)
                    listed = frozenset(await asyncio.to_thread(_listed, self._path))
                    is_new = self._listed not in (None, listed) or not content.items() <= self._read.items()
                    self._read, self._listed = content, listed
                    if is_new:
                        yield

    async def _looks_without_fail(self) -> AsyncGenerator[frozenset[Path], None]:
        """Looks at the files all the same where the system tells of no changes.

        A directory may vanish in this moment, a name may not be UTF-8, and a user has so many watches only (inotify).
        """
        try:
            async with aclosing(self._looks()) as looks:
                async for files in looks:
                    yield files
        except (OSError, WatchfilesRustInternalError, ExceptionGroup):  # the group is that of the watching thread
            await asyncio.sleep(LOOK_ANYWAY_MS / 1000)
            yield frozenset(await self._settled(None))

    async def _looks(self) -> AsyncGenerator[frozenset[Path], None]:
        """The files at each moment at which they may have changed, until other directories are to be watched."""
        directories = await self._directories()
        looked: Stamps | None = None
        events = awatch(
            *directories,
            watch_filter=None,
            debounce=LONGEST_MS,
            step=QUIET_MS,
            stop_event=self._rearranged,
            rust_timeout=LOOK_ANYWAY_MS + len(await self._stamps()),
            yield_on_timeout=True,
            recursive=False,
            ignore_permission_denied=True,
        )
        async with aclosing(events):
            async for heard in events:
                if self._rearranged.is_set():
                    return
                is_new = looked is None or await self._stamps() != looked
                if is_new:
                    looked = await self._settled(looked)
                    yield frozenset(looked)
                if (heard or is_new) and await self._directories() != directories:
                    return

    async def _settled(self, looked: Stamps | None) -> Stamps:
        """The files, once nobody writes to them any more; `looked` is what they were before."""
        before = await self._stamps()
        for _ in range(round(LONGEST_WRITE / SETTLED_AFTER)):
            replaced = looked is not None and await asyncio.to_thread(self._are_replaced, looked, before)
            await asyncio.sleep(REPLACED_AFTER if replaced else SETTLED_AFTER)
            now = await self._stamps()
            if now == before and not await asyncio.to_thread(self._writers.write_to, now):
                break
            before = now
        return before

    def _are_replaced(self, before: Stamps, now: Stamps) -> bool:
        """Whether every file that changed is another one than before, which nobody is writing to for certain."""
        changed = [file for file, at in now.items() if before.get(file) != at]
        others = all(_is_another(before.get(file), now[file]) for file in changed)
        return others and self._writers.have_left(file for file in changed if now[file] is not None)

    async def _stamps(self) -> Stamps:
        return await asyncio.to_thread(_stamps, self._path, self._named)

    async def _directories(self) -> frozenset[Path]:
        return await asyncio.to_thread(_all_directories, self._path, self._named)


def _is_another(before: Stamp, now: Stamp) -> bool:
    """Whether the path names another file than before: the device or the inode differs."""
    return before is None or now is None or before[:2] != now[:2]


def _digests(files: Iterable[Path]) -> Mapping[Path, Digest]:
    return {file: digest(file) for file in files}


def _stamps(path: Path, named: Iterable[Path]) -> Stamps:
    return {file: stamp(file) for file in (*_listed(path), *named)}


def _listed(path: Path) -> tuple[Path, ...]:
    """The files of the configuration; where they cannot be listed a name that is none, since that is news too."""
    try:
        return configuration_files(path)
    except UnreadableFile:
        return (path / "*",)


def _all_directories(path: Path, named: Iterable[Path]) -> frozenset[Path]:
    return deciding_directories((*_listed(path), *named, path / "*"))


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
        target = _target(step) if links < MOST_LINKS else None
        if target is not None:
            yield current
            links += 1
            current = Path(target.anchor) if target.is_absolute() else current
            parts = [*target.relative_to(target.anchor).parts, *parts]
        elif not parts or not os.path.isdir(step):  # noqa: PTH112 - Path.is_dir raises where it may not look
            yield current
            return
        else:
            current = step


def _target(path: Path) -> Path | None:
    """Where the symbolic link leads; None where there is none now, or it cannot be looked at."""
    try:
        return path.readlink()
    except (OSError, ValueError):
        return None
