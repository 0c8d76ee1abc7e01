"""The history's database: one connection, private to its owner, and no fault of it that reaches the control plane.

What is damaged, or is no history, is set aside and a new one begun; whatever else is wrong is HistoryUnavailable.
"""

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from control_plane.history.schema import DAMAGE, Damaged, NewerSchema, code, prepare
from service_kit.private_files import BESIDE_A_DATABASE, file_identity, make_private_database

Answer = TypeVar("Answer")
Work = Callable[[sqlite3.Connection], Answer]

# Seconds; somebody may be looking into it.
LONGEST_WAIT: Final = 5.0
# So many damaged databases are kept: they are evidence, and hold secrets.
MOST_BROKEN: Final = 3
BROKEN: Final = re.compile(r"\.broken-([0-9]{1,9})")


class HistoryUnavailable(Exception):  # noqa: N818 - it is the history that is unavailable
    """The history cannot be read or written now, and why; nothing of the answer was done."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Database:
    """A database that is opened when it is first needed, and again when its file is another one."""

    def __init__(self, file: Path, warn: Callable[[str], None]) -> None:
        self._file = file
        self._warn = warn
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened_as: tuple[int, int] | None = None

    def run(self, work: Work[Answer], *, changes: bool = False, fold: bool = False) -> Answer:
        """The answer of a piece of work that is done whole or not at all, from any thread.

        What `changes` something waits for others who do: SQLite waits for nobody once a transaction has read. With
        `fold` it is on the disk afterwards, and what it superseded is nowhere any more.
        """
        begin = "BEGIN IMMEDIATE" if changes else "BEGIN"
        with self._lock:
            try:
                answer = self._attempt(work, begin)
            except Damaged as damage:
                self._set_aside(damage)
                answer = self._attempt_anew(work, begin)
            if fold:
                self._fold()
            return answer

    def close(self) -> None:
        with self._lock:
            self._close()

    def _attempt(self, work: Work[Answer], begin: str) -> Answer:
        """Damaged where there is no database to work with; then nothing was done."""
        try:
            with self._errors_named():
                connection = self._open()
                connection.execute(begin)
                with connection:
                    return work(connection)
        except (Damaged, HistoryUnavailable):
            self._close()
            raise

    def _attempt_anew(self, work: Work[Answer], begin: str) -> Answer:
        try:
            return self._attempt(work, begin)
        except Damaged as damage:
            raise HistoryUnavailable(f"{self._file}: {damage}") from damage

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Maps what SQLite and the file system raise, and what damaged values make of the reading of them."""
        try:
            yield
        except sqlite3.Error as error:
            if code(error) in DAMAGE:
                raise Damaged(str(error)) from error
            raise HistoryUnavailable(f"{self._file}: {error}") from error
        except NewerSchema as error:
            raise HistoryUnavailable(f"{self._file}: {error}; move it away to begin a new history") from error
        except OSError as error:
            raise HistoryUnavailable(f"{self._file}: {error.strerror or error}") from error
        except (ValueError, TypeError, OverflowError) as error:
            raise HistoryUnavailable(f"{self._file}: a value cannot be used: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._opened_as == file_identity(self._file):
            return self._connection
        self._close()
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private_database(self._file)
        self._connection = sqlite3.connect(
            self._file, timeout=LONGEST_WAIT, isolation_level=None, check_same_thread=False
        )
        self._opened_as = file_identity(self._file)
        prepare(self._connection)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _fold(self) -> None:
        """Writes the log into the database and empties it, since it holds what was superseded too."""
        try:
            if self._connection is not None:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            self._warn(f"{self._file}: what was superseded is still in the log beside it: {error}")

    def _set_aside(self, damage: Damaged) -> None:
        try:
            aside = _moved_aside(self._file)
        except OSError as error:
            raise HistoryUnavailable(f"{self._file}: {damage}; it cannot be set aside: {error.strerror}") from error
        self._warn(f"{self._file}: {damage}; it was set aside as {aside.name}, and a new history begins")


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def _moved_aside(file: Path) -> Path:
    """Where the file is now; the oldest of too many that were set aside are deleted."""
    numbers = sorted(
        int(match[1])
        for other in file.parent.iterdir()
        if other.name.startswith(file.name) and (match := BROKEN.fullmatch(other.name.removeprefix(file.name)))
    )
    for number in numbers[: -(MOST_BROKEN - 1)]:
        for suffix in ("", *BESIDE_A_DATABASE):
            _beside(file, f".broken-{number}{suffix}").unlink(missing_ok=True)
    aside = _beside(file, f".broken-{numbers[-1] + 1 if numbers else 1}")
    for suffix in (*BESIDE_A_DATABASE, ""):
        with suppress(FileNotFoundError):
            _beside(file, suffix).replace(_beside(aside, suffix))
    return aside
