"""Resources of numerous types on disk, one by one: of a hundred thousand, a change writes what changed.

It is what `policy_cache` is for policies, with the same promises: readable by its owner alone, and what is torn,
foreign or damaged is no cache at all. A change that could not be written is written with the next one, so that what was
removed does not come back.
"""

import hashlib
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from service_kit.policy_cache import CacheError, Held
from service_kit.private_files import make_private_database

FORMAT: Final = 1
# Seconds; somebody may be looking into it.
LONGEST_WAIT: Final = 5.0
# What SQLite keeps beside the file while it writes.
JOURNAL: Final = "-journal"
SCHEMA: Final = (
    "CREATE TABLE applied (type TEXT PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE resources (
      type TEXT, name TEXT, version TEXT NOT NULL, body BLOB NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (type, name)
    ) WITHOUT ROWID""",
)
# Of one type: what is there under a name from now on; None: nothing.
Changes = dict[str, Held | None]


class PolicyDatabase:
    """The applied resources of some types, in a file that is made when there is something to write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unwritten: dict[str, Changes] = {}
        self._forgotten: set[str] = set()  # types of which nothing that is on disk counts
        self._is_begun = False  # the file has all that was applied and written
        self._is_lost = False  # it had

    def load(self) -> Mapping[str, Mapping[str, Held]]:
        """What was applied, by type and name; CacheError where the file cannot be trusted, and then it is gone."""
        if not self._path.exists():
            return {}
        try:
            with self._errors_named(), closing(self._connection()) as connection:
                found = _loaded(connection)
        except CacheError:
            self._drop()  # what is told next is all there is: nothing may be left beside it
            raise
        self._is_begun = True
        return found

    def write(self, type_url: str, changed: Mapping[str, Held], removed: Collection[str]) -> None:
        """Writes a change down, and those before it that could not be; CacheError where it cannot be now.

        A part of what was applied would be worse than nothing: a file that is lost is begun anew by the next process.
        """
        self._is_lost = self._is_lost or (self._is_begun and not self._path.exists())
        if self._is_lost:
            raise CacheError(f"{self._path}: it was lost; it is made again after a restart of this service")
        pending = self._unwritten.setdefault(type_url, {})
        pending.update(dict.fromkeys(removed))
        pending.update(changed)
        with self._errors_named(), closing(self._connection()) as connection, connection:
            self._flush(connection)
        self._is_begun = True
        self._unwritten.clear()
        self._forgotten.clear()

    def forget(self, type_url: str) -> None:
        """What is on disk of a type is not used; it goes with the next change."""
        self._forgotten.add(type_url)

    def _flush(self, connection: sqlite3.Connection) -> None:
        connection.executemany("DELETE FROM resources WHERE type = ?", [(type_url,) for type_url in self._forgotten])
        for type_url, changes in self._unwritten.items():
            connection.execute("INSERT OR IGNORE INTO applied VALUES (?)", (type_url,))
            gone = ((type_url, name) for name, held in changes.items() if held is None)
            connection.executemany("DELETE FROM resources WHERE type = ? AND name = ?", gone)
            rows = (
                (type_url, name, held.version, held.body, _digest(type_url, name, held))
                for name, held in changes.items()
                if held is not None
            )
            connection.executemany("INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?)", rows)

    def _connection(self) -> sqlite3.Connection:
        make_private_database(self._path)  # SQLite would ask the umask
        connection = sqlite3.connect(self._path, timeout=LONGEST_WAIT)
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise CacheError(f"{self._path}: {error}") from error
        except (sqlite3.DatabaseError, _Worthless) as error:
            self._is_lost = self._is_begun
            self._drop()
            raise CacheError(f"{self._path}: {error}") from error

    def _drop(self) -> None:
        for suffix in ("", JOURNAL):
            with suppress(OSError):  # a folder in which nothing can be removed is one in which SQLite writes nothing
                self._path.with_name(self._path.name + suffix).unlink()


class _Worthless(Exception):  # noqa: N818 - what the file is
    """No database of ours, or one that is damaged."""


def _prepare(connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found not in (0, FORMAT):
        raise _Worthless("not of this version")
    connection.execute("PRAGMA synchronous = FULL")  # a key that was revoked stays revoked
    if not found:
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {FORMAT}")


def _loaded(connection: sqlite3.Connection) -> dict[str, dict[str, Held]]:
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise _Worthless("damaged")
    found: dict[str, dict[str, Held]] = {type_url: {} for (type_url,) in connection.execute("SELECT * FROM applied")}
    for type_url, name, version, body, digest in connection.execute("SELECT * FROM resources"):
        held = Held(version, body)
        if type_url not in found or digest != _digest(type_url, name, held):
            raise _Worthless(f"damaged at {name!r}")
        found[type_url][name] = held
    return found


def _digest(type_url: str, name: str, held: Held) -> bytes:
    digest = hashlib.blake2b(f"{type_url}\0{name}\0{held.version}\0".encode(), digest_size=8)
    digest.update(held.body)
    return digest.digest()
