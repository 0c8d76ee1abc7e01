"""Lines that one process adds to a private file and another one reads, each on the disk before it counts."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service_kit.private_files import sync_folder


def append(file: Path, lines: Iterable[bytes]) -> None:
    """Adds whole lines, all of them, on the disk, or none; OSError where the disk does not take them.

    Other processes may add theirs. Behind a part of a line, which a process that was killed left, a new one begins.
    """
    with _locked(file) as descriptor:
        size = os.fstat(descriptor).st_size
        ended = not size or os.pread(descriptor, 1, size - 1) == b"\n"
        try:
            _write(descriptor, b"".join((b"" if ended else b"\n", *lines)))
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise


@contextmanager
def _locked(file: Path) -> Iterator[int]:
    """The file that has the name now: whoever rotates renames it."""
    is_new = not file.exists()
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if is_new:
            sync_folder(file.parent)
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, content: bytes) -> None:
    """All of it: a disk that fills up takes a part."""
    while content:
        content = content[os.write(descriptor, content) :]
