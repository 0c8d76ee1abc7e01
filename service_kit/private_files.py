"""Files that hold secrets: readable by their owner alone from the moment they are there."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def make_private(file: Path, *beside: Path) -> None:
    """The file, made where there is none, readable by its owner alone; so are those beside it, as far as they are."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    for other in beside:
        with suppress(FileNotFoundError):
            other.chmod(0o600)


def kept_secret(file: Path, make: Callable[[], str]) -> str:
    """The text in the file, made on first use, on the disk before it is used, and the same for all who make it at once.

    It is never empty: a file without text, as a full disk leaves one, is replaced.
    """
    if text := _text(file):
        return text
    descriptor, fresh = tempfile.mkstemp(prefix=file.name, dir=file.parent)  # created 0600
    try:
        with os.fdopen(descriptor, "w") as opened:
            opened.write(make() + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        _put(Path(fresh), file)
    finally:
        Path(fresh).unlink(missing_ok=True)
    _sync(file.parent)
    return _text(file)


def replace_private(file: Path, content: bytes) -> None:
    """Puts the content in place of the file in one step, on the disk before it is there; OSError leaves the old one."""
    descriptor, fresh = tempfile.mkstemp(prefix=file.name, dir=file.parent)  # created 0600
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        Path(fresh).replace(file)
    finally:
        Path(fresh).unlink(missing_ok=True)
    _sync(file.parent)


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


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
