"""The files a configuration is made of: which they are, what they hold, and whether they are still the same.

One reading is a picture of one moment: a file that changes while others are read makes the reader begin again.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

LARGEST_CONFIGURATION: Final = 16 * 2**20
LARGEST_REFERENCED_FILE: Final = 2**20
# A directory that is somebody else's by mistake, such as /tmp or a home, is not read to its end.
MOST_ENTRIES: Final = 10_000
SUFFIXES: Final = (".yaml", ".yml")

# Device, inode, size and times of a file; None where there is none.
Stamp = tuple[int, ...] | None
# The hash of what a file holds; None where it cannot be read.
Digest = bytes | None


class UnreadableFile(Exception):  # noqa: N818 - it is the file that is unreadable
    """A file that cannot be used, and the cure."""

    def __init__(self, message: str, cure: str) -> None:
        self.cure = cure
        super().__init__(message)


@dataclass(frozen=True)
class Given:
    """Contents to take in place of the disk's: of the configuration's own files, and of all others unless None."""

    texts: Mapping[Path, bytes] = field(repr=False)
    others: Mapping[Path, bytes] | None = field(default=None, repr=False)

    def holds(self, path: Path) -> bool:
        """Whether the disk is not asked for this file."""
        return self.others is not None or path in self.texts

    def content(self, path: Path) -> bytes:
        """What is given for this file; UnreadableFile where nothing is."""
        found = self.texts.get(path, (self.others or {}).get(path))
        if found is None:
            raise UnreadableFile("could not be read at the time", "check the path and its permissions")
        return found


class Reading:
    """Reads each file once, and remembers what it found where."""

    def __init__(self, given: Given | None = None) -> None:
        self._given = given
        self._contents: dict[Path, bytes | UnreadableFile] = {}
        self._stamps: dict[Path, Stamp] = {}
        self._listings: dict[Path, tuple[Path, ...]] = {}

    @property
    def digests(self) -> Mapping[Path, Digest]:
        """What was read, in short; the files that could not be read too: a change of them may be the cure.

        Without those that were given: no change of the disk's matters.
        """
        return {
            path: None if isinstance(content, UnreadableFile) else digest_of(content)
            for path, content in self._contents.items()
            if self._given is None or not self._given.holds(path)
        }

    @property
    def contents(self) -> Mapping[Path, bytes]:
        """What could be read."""
        return {path: content for path, content in self._contents.items() if isinstance(content, bytes)}

    @property
    def listed(self) -> tuple[Path, ...]:
        """The files of the configuration itself."""
        return tuple(file for files in self._listings.values() for file in files)

    def configuration_files(self, path: Path) -> tuple[Path, ...]:
        """The files of the configuration at this path; UnreadableFile where a directory cannot be listed."""
        if self._given is not None:
            self._listings[path] = tuple(sorted(self._given.texts))
            return self._listings[path]
        self._listings[path] = ()
        self._listings[path] = configuration_files(path)
        return self._listings[path]

    def content(self, path: Path, *, largest: int) -> bytes:
        """The content of a regular file, or UnreadableFile."""
        if path not in self._contents:
            try:
                self._contents[path] = self._read(path, largest=largest)
            except UnreadableFile as error:
                self._contents[path] = error
        found = self._contents[path]
        if isinstance(found, UnreadableFile):
            raise found
        return found

    def _read(self, path: Path, *, largest: int) -> bytes:
        if self._given is not None and self._given.holds(path):
            return self._given.content(path)
        self._stamps[path] = stamp(path)
        return read_file(path, largest=largest)

    def still_true(self) -> bool:
        """Whether all that was read could be read again."""
        listed_again = self._given is not None or all(_listed(path) == files for path, files in self._listings.items())
        return listed_again and all(stamp(path) == before for path, before in self._stamps.items())


def configuration_files(path: Path) -> tuple[Path, ...]:
    """The path itself, or the YAML files of the directory that it is, sorted; UnreadableFile where it has too many."""
    if not _is_directory(path):
        return (path,)
    names: list[str] = []
    try:
        with os.scandir(path) as entries:
            for count, entry in enumerate(entries):
                if count == MOST_ENTRIES:
                    cure = "keep the configuration in a directory of its own"
                    raise UnreadableFile(f"the directory holds more than {MOST_ENTRIES} entries", cure)
                if _is_configuration(entry.name):
                    names.append(entry.name)
    except OSError as error:
        reason = f"the directory cannot be read: {error.strerror}"
        raise UnreadableFile(reason, "check its permissions") from error
    return tuple(path / name for name in sorted(names))


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _is_configuration(name: str) -> bool:
    """Whether a file of a directory belongs to the configuration: no dot-file, and no draft or backup of an editor."""
    return name.endswith(SUFFIXES) and not name.startswith((".", "#", "~"))


def _listed(path: Path) -> tuple[Path, ...]:
    try:
        return configuration_files(path)
    except UnreadableFile:
        return ()


def read_file(path: Path, *, largest: int) -> bytes:
    """The content of a regular file; a device or pipe could block its reader for ever."""
    try:
        _check_regular(path.stat().st_mode)
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            _check_regular(os.fstat(file.fileno()).st_mode)
            content = file.read(largest + 1)
    except FileNotFoundError as error:
        raise UnreadableFile("there is no such file", "check the path") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "the path is malformed"
        raise UnreadableFile(f"cannot be read: {reason}", "check the path and its permissions") from error
    if len(content) > largest:
        raise UnreadableFile(f"is larger than {largest // 2**20} MiB", "check that it is the right file")
    return content


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UnreadableFile("is a directory", "name one file")
    if not stat.S_ISREG(mode):
        raise UnreadableFile("is no regular file", "name a regular file")


def digest_of(content: bytes) -> bytes:
    """The content in short."""
    return hashlib.blake2b(content, digest_size=16).digest()


def digest(path: Path) -> Digest:
    """What the file holds, in short; None where it cannot be read."""
    try:
        return digest_of(read_file(path, largest=LARGEST_CONFIGURATION))
    except UnreadableFile:
        return None


def stamp(path: Path) -> Stamp:
    """What tells that a file is another one, or was written to, without reading it."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
