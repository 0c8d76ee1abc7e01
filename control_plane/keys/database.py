"""The database of keys and consumers: SQLite in a file of its own, or PostgreSQL that several control planes share.

What it acknowledges is on the disk. It is used by one thread at a time. Whatever goes wrong is StoreUnavailable, or
StoreUnusable where trying again will not help; neither shows a password.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from control_plane.keys.errors import IdentityError, StoreUnavailable, StoreUnusable
from control_plane.keys.tables import ANOTHER, prepare
from service_kit.databases import (
    SQLITE_PREFIX,
    STATEMENT_BOUNDS,
    Replaced,
    SqliteFile,
    is_damage,
    one_line,
    postgresql_engine,
    shown,
    sqlite_file,
)

Answer = TypeVar("Answer")
Work = Callable[[Connection], Answer]

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
        self._file = SqliteFile(file)
        self._pepper = pepper

    def run(self, work: Work[Answer]) -> Answer:
        with _errors_named(self.place), self._opened().begin() as db:
            return work(db)

    def close(self) -> None:
        self._file.close()

    def _opened(self) -> Engine:
        try:
            return self._file.engine(self._prepare)
        except Replaced as error:
            cure = "put it back, or restart the control plane to go on with what is there"
            raise StoreUnavailable(str(error), cure) from error

    def _prepare(self, db: Connection) -> None:
        _check_pages(db)
        prepare(db, self._pepper)


class PostgresqlDatabase:
    """A database that others may use too; a connection that broke is opened anew."""

    def __init__(self, url: URL, pepper: bytes) -> None:
        self.place = shown(url)
        self._url = url
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
            self._engine = postgresql_engine(self._url)
        return self._engine


def database(url: str, pepper: bytes) -> Database:
    """The database of this URL, which is not opened yet."""
    if url.startswith(SQLITE_PREFIX):
        return SqliteDatabase(sqlite_file(url), pepper)
    return PostgresqlDatabase(parsed(url), pepper)


def parsed(url: str) -> URL:
    """StoreUnusable where it is no URL; it is not shown, since it may hold a password."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise StoreUnusable("the URL of the store is none", "write postgresql://USER@HOST:PORT/NAME") from None


def _check_pages(db: Connection) -> None:
    found = db.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise _damaged(one_line(found))


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
    reason = one_line(error.orig)
    return _damaged(reason) if is_damage(error) else StoreUnavailable(reason, TRY_LATER)
