"""Keeps the logs of a gateway small: a log that has grown is renamed, older ones shift, the oldest is dropped.

Everybody who reaches a listener makes it write, with every request and every denial: without a bound, until the disk is
full. Nothing is rewritten or truncated: the access log is a record, and who reads it follows a file to its end, then
the next.
"""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

import httpx

from service_kit.endpoint import UnixEndpoint
from tollgate_cli.supervisor.health import admin_client
from tollgate_cli.supervisor.output import Terminal

LABEL = "logs"


@dataclass(frozen=True)
class Rotation:
    """When a log is renamed, and how many renamed ones are kept."""

    # Some 100,000 requests of an access log, in a file that every tool still opens; eight logs of five such files
    # are 2.5 GiB, which small disks have.
    size: int = 64 << 20
    kept: int = 4
    # Seconds between two looks: 20,000 requests a second write some 25 MiB meanwhile, less than half a file.
    every: float = 2.0


class Log(Protocol):
    """What is kept small."""

    @property
    def path(self) -> Path: ...

    async def rotate(self, rotation: Rotation) -> None:
        """Renames it where it has grown; OSError or httpx.HTTPError where that fails, to be tried again."""


class LogFile:
    """A log that this process writes."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file

    def write(self, data: bytes) -> None:
        """Appends all of it; OSError where the disk takes a part or nothing."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        self._file.close()

    async def rotate(self, rotation: Rotation) -> None:
        status = os.fstat(self._file.fileno())
        if _is_at(status, self.path):
            if status.st_size <= rotation.size:
                return
            shift(self.path, rotation.kept)
        # Until this succeeds the renamed file is written, and the next look comes here again.
        renamed, self._file = self._file, appended(self.path)
        renamed.close()


@dataclass
class AccessLog:
    """A log that Envoy writes, and opens again by its path when it is asked to."""

    path: Path
    admin: UnixEndpoint
    # Envoy still writes a renamed file: until it has reopened, another shift could drop what it writes.
    _owed: bool = field(default=False, init=False)

    async def rotate(self, rotation: Rotation) -> None:
        self._owed = self._owed or self._moved(rotation)
        if self._owed:
            # Envoy closes its file before it opens the next, and loses rows where it cannot: on a full disk this fails
            # first, and Envoy keeps the file that it has.
            appended(self.path).close()
            self._owed = not await self._reopened()

    def _moved(self, rotation: Rotation) -> bool:
        """Whether Envoy writes a file that is not at the path."""
        try:
            if self.path.stat().st_size <= rotation.size:
                return False
        except FileNotFoundError:  # removed by somebody else: Envoy would fill the disk with a file that has no name
            return True
        shift(self.path, rotation.kept)
        return True

    async def _reopened(self) -> bool:
        try:
            async with admin_client(self.admin) as client:
                (await client.post("/reopen_logs")).raise_for_status()
        except httpx.ConnectError:  # it is being restarted, which is told elsewhere
            return False
        return True


def log_file(path: Path) -> LogFile:
    """The log at this path, open."""
    return LogFile(path, appended(path))


def access_log(path: Path, admin: UnixEndpoint) -> AccessLog:
    """The access log of the Envoy with this admin interface; the file exists from now on."""
    appended(path).close()
    return AccessLog(path, admin)


def appended(path: Path) -> BinaryIO:
    """The file, open for appending; its owner's alone where it is new."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)


def shift(path: Path, kept: int) -> None:
    """Renames NAME to NAME.1, NAME.1 to NAME.2 and so on, up to the first number that is free.

    Only where none is free the last file is dropped, so that a shift that failed half-way costs nothing when repeated.
    """
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, kept + 1))]
    free = next((number for number in range(1, kept) if not names[number].exists()), kept)
    for number in range(free, 0, -1):
        names[number - 1].replace(names[number])


async def keep_small(logs: Iterable[Log], rotation: Rotation, terminal: Terminal) -> None:
    """Looks after the logs until it is cancelled; one that cannot be rotated is one warning until it can."""
    logs, failing = tuple(logs), set[Path]()
    while True:
        await asyncio.sleep(rotation.every)
        for log in logs:
            try:
                await log.rotate(rotation)
            except (OSError, httpx.HTTPError) as error:
                if log.path not in failing:
                    terminal.labelled(LABEL, f"cannot rotate {log.path}, which grows until it can: {_reason(error)}")
                failing.add(log.path)
            else:
                failing.discard(log.path)


def _reason(error: OSError | httpx.HTTPError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"Envoy does not reopen it ({error or type(error).__name__})"


def _is_at(status: os.stat_result, path: Path) -> bool:
    """Whether the file of this status is the one at the path: it may be renamed by others, too."""
    try:
        return os.path.samestat(status, path.stat())
    except FileNotFoundError:
        return False
