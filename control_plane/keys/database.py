"""The database of keys and consumers: SQLite in a file of its own, or PostgreSQL that several control planes share.

What it acknowledges is on the disk. It is used by one thread at a time. Whatever goes wrong is StoreUnavailable, or
StoreUnusable where trying again will not help; neither shows a password.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from control_plane.keys.errors import IdentityError, StoreUnavailable, StoreUnusable
from control_plane.keys.tables import ANOTHER, prepare
from service_kit.private_files import make_private_database

Answer = TypeVar("Answer")
Work = Callable[[Connection], Answer]

SQLITE_PREFIX: Final = "sqlite:///"
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
TRY_LATER: Final = "it is tried again; keys and consumers that are known work on"


class Database(Protocol):
    """Where the rows are; `place` names it without its password."""

    place: str

    def run(self, work: Work[Answer]) -> Answer:
        """The answer of a piece of work that is done whole, and on the disk, or not at all; blocks."""
        ...

    def close(self) -> None: ...


class SqliteDatabase:
    """A file of which this process is the only writer. It is opened when it is first needed."""

    def __init__(self, file: Path, pepper: bytes) -> None:
        self.place = str(file)
        self._file = file
        self._pepper = pepper
        self._engine: Engine | None = None
        self._opened_as: tuple[int, int] | None = None

    def run(self, work: Work[Answer]) -> Answer:
        with _errors_named(self.place), self._opened().begin() as db:
            return work(db)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _opened(self) -> Engine:
        if self._engine is None:
            make_private_database(self._file)
            engine = _sqlite_engine(self._file)
            try:
                with engine.begin() as db:
                    _check_pages(db)
                    prepare(db, self._pepper)
                _write_ahead(engine)
            except BaseException:
                engine.dispose()
                raise
            self._engine, self._opened_as = engine, _identity(self._file)
        elif _identity(self._file) != self._opened_as:
            cure = "put it back, or restart the control plane to go on with what is there"
            raise StoreUnavailable("the file was moved, deleted or replaced while it was in use", cure)
        return self._engine


class PostgresqlDatabase:
    """A database that others may use too; a connection that broke is opened anew."""

    def __init__(self, url: URL, pepper: bytes) -> None:
        self.place = _shown(url)
        self._url = url.set(drivername=DRIVER)
        self._pepper = pepper
        self._engine: Engine | None = None
        self._prepared = False

    def run(self, work: Work[Answer]) -> Answer:
        with _errors_named(self.place), self._opened().begin() as db:
            db.exec_driver_sql(STATEMENT_BOUNDS)
            if not self._prepared:
                prepare(db, self._pepper)
            answer = work(db)
        self._prepared = True
        return answer

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _opened(self) -> Engine:
        if self._engine is None:
            # Prepared statements would belong to one of a pooler's connections.
            arguments = {**SERVER_SETTINGS, "prepare_threshold": None}
            self._engine = create_engine(
                self._url, connect_args=arguments, pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True
            )
        return self._engine


def database(url: str, pepper: bytes) -> Database:
    """The database of this URL, which is not opened yet."""
    if url.startswith(SQLITE_PREFIX):
        return SqliteDatabase(sqlite_file(url), pepper)
    return PostgresqlDatabase(parsed(url), pepper)


def sqlite_file(url: str) -> Path:
    """The file of a `sqlite:///PATH`; the path is absolute, with or without a slash of its own."""
    return Path("/" + url.removeprefix(SQLITE_PREFIX).lstrip("/"))


def parsed(url: str) -> URL:
    """StoreUnusable where it is no URL; it is not shown, since it may hold a password."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise StoreUnusable("the URL of the store is none", "write postgresql://USER@HOST:PORT/NAME") from None


def _sqlite_engine(file: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        connect_args={"timeout": LONGEST_WAIT, "check_same_thread": False},
        pool_size=1,
        max_overflow=0,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", lambda db: db.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # else sqlite3 begins transactions by itself, and too late
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA synchronous = FULL")  # what was acknowledged outlives a power cut


def _write_ahead(engine: Engine) -> None:
    """Once the file is known to be ours: this is written into it."""
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA journal_mode = WAL")


def _check_pages(db: Connection) -> None:
    found = db.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise _damaged(_one_line(found))


def _damaged(reason: str) -> StoreUnusable:
    return StoreUnusable(f"it is damaged: {reason}", f"restore it from a backup, {ANOTHER}")


@contextmanager
def _errors_named(place: str) -> Iterator[None]:
    """Maps what SQLAlchemy, the drivers and the file system raise, and says where it was."""
    try:
        yield
    except (StoreUnavailable, StoreUnusable) as error:
        raise type(error)(f"{place}: {error.message}", error.cure) from error
    except IdentityError:
        raise
    except DBAPIError as error:
        named = _named(error)
        raise type(named)(f"{place}: {named.message}", named.cure) from error
    except (SQLAlchemyError, PoolTimeoutError) as error:
        raise StoreUnavailable(f"{place}: {error}", TRY_LATER) from error
    except ImportError as error:
        message = f"{place}: {error.name or 'psycopg'} is not installed"
        raise StoreUnusable(message, "install `tollgate[postgresql]`") from error
    except OSError as error:
        raise StoreUnavailable(f"{place}: {error.strerror or error}", TRY_LATER) from error
    except ValueError as error:
        damage = _damaged(f"a value cannot be read: {error}")
        raise StoreUnusable(f"{place}: {damage.message}", damage.cure) from error


def _named(error: DBAPIError) -> StoreUnavailable | StoreUnusable:
    code = int(getattr(error.orig, "sqlite_errorcode", -1)) & PRIMARY
    reason = _one_line(error.orig)
    return _damaged(reason) if code in DAMAGE else StoreUnavailable(reason, TRY_LATER)


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split())


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _shown(url: URL) -> str:
    """Where it is, without user, password and parameters."""
    host: Any = url.host or url.query.get("host", "")
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{host}{port}/{url.database or ''}"
