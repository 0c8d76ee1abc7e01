"""The tables of the history, and whether a database is one.

Texts are kept once, however many configurations hold them. Names and contents are bytes: neither need be valid UTF-8.
"""

import sqlite3
from functools import cache
from typing import Final

# Says whose database it is (https://www.sqlite.org/pragma.html#pragma_application_id): "TGhi".
APPLICATION: Final = 0x54476869
VERSION: Final = 1
SCHEMA: Final = (
    "CREATE TABLE contents (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, packed BLOB NOT NULL)",
    """CREATE TABLE files (
        id INTEGER PRIMARY KEY, name BLOB NOT NULL, content INTEGER NOT NULL REFERENCES contents,
        UNIQUE (content, name)
    )""",
    """CREATE TABLE entries (
        number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, source TEXT NOT NULL, path BLOB,
        digest TEXT NOT NULL, result TEXT NOT NULL, held TEXT NOT NULL
    )""",
    """CREATE TABLE entry_files (
        entry INTEGER NOT NULL REFERENCES entries ON DELETE CASCADE, file INTEGER NOT NULL REFERENCES files,
        PRIMARY KEY (entry, file)
    ) WITHOUT ROWID""",
    "CREATE INDEX entries_of_file ON entry_files (file)",
    """CREATE TABLE verdicts (
        entry INTEGER NOT NULL REFERENCES entries ON DELETE CASCADE, node TEXT NOT NULL, accepted INTEGER NOT NULL,
        reason TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (entry, node)
    ) WITHOUT ROWID""",
    # What was read for the last good configuration, beside its texts.
    "CREATE TABLE good (entry INTEGER NOT NULL REFERENCES entries)",
    "CREATE TABLE good_files (file INTEGER PRIMARY KEY REFERENCES files)",
    "CREATE TABLE good_variables (name BLOB PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TABLE pin (entry INTEGER NOT NULL REFERENCES entries, source_digest TEXT NOT NULL, at REAL NOT NULL)",
)


# The primary code of an extended one (https://www.sqlite.org/rescode.html); none where Python cannot decode a value.
PRIMARY: Final = 0xFF
DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# Nothing but the file is to blame where questions that every history answers are no SQL for it.
DAMAGE_AT_OPENING: Final = (*DAMAGE, sqlite3.SQLITE_ERROR, 0)


class NewerSchema(Exception):  # noqa: N818 - it is the schema that is newer
    """A later version of this program wrote the database."""


class Damaged(Exception):  # noqa: N818 - it is the database that is damaged
    """What is there is no history, or no longer."""


def code(error: sqlite3.Error) -> int:
    """What kind of error it is."""
    return int(getattr(error, "sqlite_errorcode", 0)) & PRIMARY


def prepare(connection: sqlite3.Connection) -> None:
    """Makes an empty database a history; NewerSchema or Damaged where it is something else."""
    try:
        _prepare(connection)
    except UnicodeDecodeError as error:
        raise Damaged(str(error)) from error
    except sqlite3.Error as error:
        if code(error) in DAMAGE_AT_OPENING:
            raise Damaged(str(error)) from error
        raise


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    # What is superseded holds secrets: its pages are overwritten.
    connection.execute("PRAGMA secure_delete = ON")
    # A killed process loses nothing; a commit waits for the disk when the log is folded in.
    connection.execute("PRAGMA synchronous = NORMAL")
    if _is_empty(connection):
        _create(connection)
    _check(connection)


def _is_empty(connection: sqlite3.Connection) -> bool:
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return not (tables or _pragma(connection, "application_id") or _pragma(connection, "user_version"))


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum = FULL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _check(connection: sqlite3.Connection) -> None:
    if _pragma(connection, "application_id") != APPLICATION:
        raise Damaged("it is a database of something else")
    version = _pragma(connection, "user_version")
    if version > VERSION:
        raise NewerSchema(f"a newer version of this program wrote it (schema {version}, known up to {VERSION})")
    if _tables(connection) != _expected_tables():
        raise Damaged("its tables are not those of a history")
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise Damaged(str(found))


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _tables(connection: sqlite3.Connection) -> frozenset[tuple[str, str]]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return frozenset(rows)


@cache
def _expected_tables() -> frozenset[tuple[str, str]]:
    connection = sqlite3.connect(":memory:")
    try:
        for statement in SCHEMA:
            connection.execute(statement)
        return _tables(connection)
    finally:
        connection.close()
