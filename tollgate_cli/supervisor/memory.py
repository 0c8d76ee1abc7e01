"""How much memory Envoy's heap may take: what the operator says, else a half of what there is.

The other half is for the other processes, and for what Envoy uses beside its heap.

Errors: SizeError
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

VARIABLE = "TOLLGATE_ENVOY_MEMORY"
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
SMALLEST = 64 << 20  # an Envoy that does nothing has a heap of about 20 MiB
SHARE = 2


class SizeError(Exception):
    """The operator's size is none."""

    def __init__(self, text: str) -> None:
        super().__init__(f"${VARIABLE} is {text!r}: write a size of at least 64MiB, such as 512MiB or 2GiB")


def envoy_memory(environ: Mapping[str, str], root: Path = Path("/")) -> int:
    """Bytes of heap above which Envoy refuses requests."""
    if named := environ.get(VARIABLE):
        return size(named)
    return max(SMALLEST, min((_machine(), *_limits(root))) // SHARE)


def size(text: str) -> int:
    """A size as it is written in the configuration, in bytes."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})(KiB|MiB|GiB)", text)
    if match is None or int(match[1]) * UNITS[match[2]] < SMALLEST:
        raise SizeError(text)
    return int(match[1]) * UNITS[match[2]]


def _machine() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _limits(root: Path) -> Iterator[int]:
    """The limits of this process's control groups, of both versions; a container sees its own as the outermost."""
    for hierarchy, group in _groups(root):
        folder = root / "sys/fs/cgroup"
        name, place = ("memory.max", folder) if not hierarchy else ("memory.limit_in_bytes", folder / "memory")
        own = place / group.lstrip("/")
        for at in (own, *own.parents[: len(own.parts) - len(place.parts)]):
            if (text := _read(at / name)).isdigit():
                yield int(text)


def _groups(root: Path) -> Iterator[tuple[str, str]]:
    """Lines such as `0::/a/b` (version 2) and `7:memory:/a/b` (version 1) of /proc/self/cgroup."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers or "memory" in controllers.split(","):
            yield controllers, group


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""
