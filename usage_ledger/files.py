"""Follows a log and the files that it was before it was rotated: whole lines, and how far each file was read.

Whoever rotates by renaming is followed by the file, whatever it is called; whoever copies and truncates by the file
being shorter, or beginning otherwise, than what was read. A renamed file is looked at for as long as it is there: its
writer may go on writing it until it opens the next.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from service_kit.clock import Clock
from usage_ledger.book import Position
from usage_ledger.values import KEY_SIZE

CHUNK: Final = 1 << 20
# Bytes by which a file is known again: some lines, since the ids and times that no other file has stand at their ends.
HEAD: Final = 4096
# Renamed files that a tool has packed: whoever packs must leave the newest as it is.
PACKED: Final = (".gz", ".zst", ".xz", ".bz2", ".lz4", ".new", ".tmp")
# Seconds that a file without a name is kept open after its last line.
FAREWELL: Final = 60.0

Key = tuple[int, int]


@dataclass(frozen=True)
class Lines:
    """Whole lines of a file, and its position behind them."""

    lines: tuple[bytes, ...]
    position: Position


class Log:
    """A log by its path. Reading changes nothing: what was read is taken back to mind by `done`."""

    def __init__(self, source: str, path: Path, clock: Clock, known: Iterable[Position] = ()) -> None:
        self.source = source
        self._path = path
        self._clock = clock
        self._positions = {(item.device, item.inode): item for item in known if item.source == source}
        self._open: dict[Key, int] = {}
        self._silent_since: dict[Key, float] = {}

    def read(self) -> Iterator[Lines]:
        """What is new, the oldest file first, a chunk of each."""
        self._look()
        for key, descriptor in self._open.items():
            if (found := self._lines(key, descriptor)) is not None:
                yield found

    def done(self, positions: Iterable[Position]) -> None:
        """These positions are kept where they outlive this process."""
        for position in positions:
            if position.source == self.source:
                self._positions[position.device, position.inode] = position

    def gone(self) -> tuple[Position, ...]:
        """Positions in files that are no more; they are forgotten here."""
        gone = [key for key in self._positions if key not in self._open]
        return tuple(self._positions.pop(key) for key in gone)

    def finished(self) -> tuple[Path, ...]:
        """Renamed files of which every byte was read."""
        found = ((key, path) for key, path in _candidates(self._path).items() if key in self._open)
        return tuple(
            path for key, path in found if path != self._path and os.fstat(self._open[key]).st_size == self._offset(key)
        )

    @property
    def behind(self) -> int:
        """Bytes that are there and not read yet."""
        sizes = {key: os.fstat(descriptor).st_size for key, descriptor in self._open.items()}
        return sum(max(0, size - self._offset(key)) for key, size in sizes.items())

    def close(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _look(self) -> None:
        """Opens what is new, and lets go of what has no name any more and says no more."""
        found = _candidates(self._path)
        for key, path in found.items():
            if key not in self._open:
                with suppress(FileNotFoundError):  # renamed since: found by the next look
                    self._opened(path)
        for key in [key for key in self._open if key not in found]:
            self._leave(key)
        for key in found:
            self._silent_since.pop(key, None)

    def _opened(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        key = _key(os.fstat(descriptor))
        if key in self._open:
            os.close(descriptor)
        else:
            self._open[key] = descriptor

    def _leave(self, key: Key) -> None:
        now = self._clock.monotonic()
        if os.fstat(self._open[key]).st_size > self._offset(key):
            self._silent_since.pop(key, None)
        elif now - self._silent_since.setdefault(key, now) >= FAREWELL:
            os.close(self._open.pop(key))
            del self._silent_since[key]

    def _offset(self, key: Key) -> int:
        position = self._positions.get(key)
        return 0 if position is None else position.offset

    def _lines(self, key: Key, descriptor: int) -> Lines | None:
        size = os.fstat(descriptor).st_size
        position = self._positions.get(key)
        if position is not None and size == position.offset:
            return None
        if position is not None and not _is_same(descriptor, size, position):
            self._positions.pop(key)
            position = None
        offset = 0 if position is None else position.offset
        data = os.pread(descriptor, CHUNK, offset)
        whole = data.rfind(b"\n") + 1
        if not whole and len(data) < CHUNK:
            return None
        data = data[: whole or CHUNK]
        head = _head(descriptor, offset + len(data))
        lines = tuple(line for line in data.split(b"\n") if line)
        return Lines(lines, Position(self.source, *key, offset + len(data), *head))


def _candidates(path: Path) -> Mapping[Key, Path]:
    """The log and what it was, the oldest first: regular files alone."""
    found: list[tuple[int, bool, Key, Path]] = []
    with suppress(FileNotFoundError), os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name != path.name and not _was(entry.name, path.name):
                continue
            with suppress(FileNotFoundError):
                status = entry.stat()
                if stat.S_ISREG(status.st_mode):
                    found.append((status.st_mtime_ns, entry.name == path.name, _key(status), Path(entry.path)))
    return {key: file for _, _, key, file in sorted(found)}


def _was(name: str, log: str) -> bool:
    """Whether a file is called as rotated logs are: `access.log.1`, `access.log-20300101`."""
    return name.startswith((f"{log}.", f"{log}-")) and not name.endswith(PACKED)


def _key(status: os.stat_result) -> Key:
    return status.st_dev, status.st_ino


def _head(descriptor: int, read: int) -> tuple[int, bytes]:
    size = min(HEAD, read)
    return size, blake2b(os.pread(descriptor, size, 0), digest_size=KEY_SIZE).digest()


def _is_same(descriptor: int, size: int, position: Position) -> bool:
    """Whether the file is the one that was read so far: not shorter, and not begun anew."""
    return size >= position.offset and _head(descriptor, position.head_size) == (position.head_size, position.head)
