"""Files that hold secrets: readable by their owner alone from the moment they are there."""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

# What SQLite keeps beside a database while it writes ahead, with its mode: the log and its index.
BESIDE_A_DATABASE: Final = ("-wal", "-shm")


def make_private_database(file: Path) -> None:
    """A file for SQLite, made where there is none, readable by its owner alone; so is what is beside it.

    One that is there is not opened: to close a file takes away every lock that this process has on it (POSIX), also
    those of a connection that SQLite still has. Another process would then remove the log that we write ahead to.
    """
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        if not os.access(file, os.R_OK | os.W_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
        file.chmod(0o600)
    for suffix in BESIDE_A_DATABASE:
        with suppress(FileNotFoundError):
            file.with_name(file.name + suffix).chmod(0o600)


def file_identity(file: Path) -> tuple[int, int] | None:
    """What file is at the path; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def kept_secret(file: Path, make: Callable[[], str]) -> str:
    """The text in the file, made on first use, on the disk before it is used, and the same for all who make it at once.

    It is never empty: a file without text, as a full disk leaves one, is replaced.
    """
    if text := _text(file):
        return text
    with _fresh(file, f"{make()}\n".encode()) as fresh:
        _put(fresh, file)
    return _text(file)


def replace_private(file: Path, content: bytes) -> None:
    """Puts the content in place of the file in one step, on the disk before it is there; OSError leaves the old one."""
    with _fresh(file, content) as fresh:
        fresh.replace(file)


@contextmanager
def _fresh(file: Path, content: bytes) -> Iterator[Path]:
    """A private file beside this one, written out, to be put in its place; then their folder is on the disk, too."""
    descriptor, name = tempfile.mkstemp(prefix=file.name, dir=file.parent)  # created 0600
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        yield fresh
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(file.parent)


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        return ""


def _put(fresh: Path, file: Path) -> None:
    """Of several who put theirs at once, one wins; a file without text loses."""
    try:
        os.link(fresh, file)
    except FileExistsError:
        if not _text(file):
            fresh.replace(file)
    except OSError:  # a file system without hard links
        fresh.replace(file)


def sync_folder(folder: Path) -> None:
    """What was made, renamed or removed in it is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
