"""Which files a swap-in configuration is, and what they hold: one file, or all `.yaml` and `.yml` below a directory.

Names that begin with a dot are passed over: a mounted ConfigMap keeps its versions under such names.

Errors: InvalidRules
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ratelimit_service.swap_in.loader import SourceFile
from ratelimit_service.swap_in.mistakes import InvalidRules, Mistake, Place

SUFFIXES: Final = frozenset({".yaml", ".yml"})

# What tells one state of a file from another: device, inode, size and time of change; None where there is no file.
Stamp = tuple[int, int, int, int] | None


def read_files(path: Path) -> tuple[SourceFile, ...]:
    """The files in the order of their names; InvalidRules where one cannot be read, or there is none."""
    try:
        files = tuple(SourceFile(str(file), file.read_bytes()) for file in _files(path))
    except OSError as error:
        place = Place(str(error.filename or path))
        raise InvalidRules(
            [Mistake(place, f"cannot be read: {error.strerror}", "check path and permissions")]
        ) from error
    if not files:
        raise InvalidRules([Mistake(Place(str(path)), "there is no .yaml file in it", "check the path of --config")])
    return files


def stamps(path: Path) -> Mapping[Path, Stamp]:
    """The state of each file; it differs as soon as a file is written, replaced, added or removed."""
    return {file: _stamp(file) for file in _files(path)}


def _files(path: Path) -> tuple[Path, ...]:
    return tuple(sorted(_below(path))) if path.is_dir() else (path,)


def _below(directory: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(directory):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            if Path(name).suffix in SUFFIXES and not name.startswith("."):
                yield Path(folder) / name


def _stamp(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
