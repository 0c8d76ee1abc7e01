"""SQLite in a file of its own, or PostgreSQL: how a process opens them, and how long it waits for what hangs.

What is committed is on the disk. No URL is shown: it may hold a password.
"""

import errno
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from service_kit.private_files import file_identity, make_private_database

SQLITE_PREFIX: Final = "sqlite:///"
POSTGRESQL: Final = "postgresql"
# Seconds to wait for another process that writes, and for a server that does not answer.
LONGEST_WAIT: Final = 5
# Milliseconds that one statement may take, and wait for others; else a server that hangs would hang us.
STATEMENT_BOUNDS: Final = "SET LOCAL statement_timeout = 10000; SET LOCAL lock_timeout = 5000"
DRIVER: Final = "postgresql+psycopg"
# https://www.postgresql.org/docs/current/libpq-connect.html: a peer that is gone is noticed within about 20 seconds.
SERVER_SETTINGS: Final[Mapping[str, Any]] = MappingProxyType(  # Any: passed on to the driver
    {
        "connect_timeout": LONGEST_WAIT,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        "application_name": "tollgate",
    }
)
# The primary code of an extended one (https://www.sqlite.org/rescode.html); none where Python cannot decode a value.
PRIMARY: Final = 0xFF
DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Replaced(Exception):  # noqa: N818 - what happened to the file
    """At the path is another file than the one that was opened."""


class SqliteFile:
    """A file that is opened when it is first needed; one that only reads makes and changes nothing."""

    def __init__(self, file: Path, *, changes: bool = True) -> None:
        self._file = file
        self._changes = changes
        self._engine: Engine | None = None
        self._opened_as: tuple[int, int] | None = None

    def engine(self, prepare: Callable[[Connection], None]) -> Engine:
        """What it is used by; `prepare` is done when it is opened, and what that raises leaves it closed."""
        if self._engine is None:
            self._engine = self._opened(prepare)
            self._opened_as = file_identity(self._file)
        elif file_identity(self._file) != self._opened_as:
            raise Replaced("the file was moved, deleted or replaced while it was in use")
        return self._engine

    def close(self) -> None:
        """It is opened anew when it is needed again."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _opened(self, prepare: Callable[[Connection], None]) -> Engine:
        if self._changes:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_private_database(self._file)
        elif not self._file.exists():
            raise FileNotFoundError(errno.ENOENT, "there is no such file yet")
        engine = sqlite_engine(self._file, changes=self._changes)
        with disposed_unless(engine, prepare):
            if self._changes:
                write_ahead(engine)
        return engine


@contextmanager
def disposed_unless(engine: Engine, prepare: Callable[[Connection], None]) -> Iterator[None]:
    """Prepares it; where that, or what follows, fails, nothing of it is left open."""
    try:
        with engine.begin() as db:
            prepare(db)
        yield
    except BaseException:
        engine.dispose()
        raise


def sqlite_engine(file: Path, *, changes: bool = True) -> Engine:
    """An engine of one connection; one that `changes` something waits for others who do before it reads."""
    begin = "BEGIN IMMEDIATE" if changes else "BEGIN"
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        connect_args={"timeout": LONGEST_WAIT, "check_same_thread": False},
        pool_size=1,
        max_overflow=0,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", lambda db: db.exec_driver_sql(begin))
    return engine


def postgresql_engine(url: URL) -> Engine:
    """An engine of one connection, which is opened anew where it broke."""
    # Prepared statements would belong to one of a pooler's connections.
    arguments = {**SERVER_SETTINGS, "prepare_threshold": None}
    return create_engine(
        url.set(drivername=DRIVER),
        connect_args=arguments,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
    )


def write_ahead(engine: Engine) -> None:
    """Once the file is known to be ours: this is written into it."""
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA journal_mode = WAL")


def sqlite_file(url: str) -> Path:
    """The file of a `sqlite:///PATH`; the path is absolute, with or without a slash of its own."""
    return Path("/" + url.removeprefix(SQLITE_PREFIX).lstrip("/"))


def shown(url: URL) -> str:
    """Where it is, without user, password and parameters."""
    host: Any = url.host or url.query.get("host", "")
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{host}{port}/{url.database or ''}"


def is_damage(error: DBAPIError) -> bool:
    """Whether SQLite says that the file is damaged, or is no database."""
    return (int(getattr(error.orig, "sqlite_errorcode", -1)) & PRIMARY) in DAMAGE


def one_line(reason: object) -> str:
    """What a driver says, which is written over several lines."""
    return " ".join(str(reason).split())


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # else sqlite3 begins transactions by itself, and too late
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA synchronous = FULL")  # what was acknowledged outlives a power cut
