"""The ledger's database: SQLite in a file of its own, or PostgreSQL that a fleet shares.

What is committed is on the disk. Each instance is used by one thread at a time. Whatever goes wrong is
LedgerUnavailable, or LedgerUnusable where trying again will not help; neither shows a password.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from service_kit.databases import (
    SQLITE_PREFIX,
    STATEMENT_BOUNDS,
    file_identity,
    is_damage,
    one_line,
    postgresql_engine,
    shown,
    sqlite_engine,
    sqlite_file,
    write_ahead,
)
from service_kit.private_files import make_private_database
from usage_ledger.errors import LedgerUnavailable, LedgerUnusable
from usage_ledger.tables import check, prepare

Answer = TypeVar("Answer")
Work = Callable[[Connection], Answer]

DATABASE_NAME: Final = "ledger.sqlite"
# Who reads sees no row that comes meanwhile; SQLite does so by itself.
ONE_MOMENT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class Database:
    """A database that is opened when it is first needed; one that only reads makes and changes nothing."""

    def __init__(self, url: str, *, changes: bool) -> None:
        self._file = sqlite_file(url) if url.startswith(SQLITE_PREFIX) else None
        self._url = None if self._file is not None else _parsed(url)
        self.place = str(self._file) if self._url is None else shown(self._url)
        self._changes = changes
        self._engine: Engine | None = None
        self._opened_as: tuple[int, int] | None = None

    def run(self, work: Work[Answer]) -> Answer:
        """The answer of a piece of work that is done whole, and on the disk, or not at all; blocks."""
        with self._errors_named(), self._opened().begin() as db:
            if self._file is None:
                db.exec_driver_sql(STATEMENT_BOUNDS if self._changes else f"{ONE_MOMENT}; {STATEMENT_BOUNDS}")
            return work(db)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _opened(self) -> Engine:
        if self._engine is not None:
            if self._file is not None and file_identity(self._file) != self._opened_as:
                raise LedgerUnavailable("the file was moved, deleted or replaced while it was in use; restart")
            return self._engine
        engine = self._made()
        try:
            with engine.begin() as db:
                (prepare if self._changes else check)(db)
            if self._file is not None and self._changes:
                write_ahead(engine)
        except BaseException:
            engine.dispose()
            raise
        self._engine, self._opened_as = engine, file_identity(self._file) if self._file else None
        return engine

    def _made(self) -> Engine:
        if self._url is not None:
            return postgresql_engine(self._url)
        assert self._file is not None  # noqa: S101 - one of both is there, which the types cannot say
        if self._changes:
            make_private_database(self._file)
        elif not self._file.exists():
            raise LedgerUnavailable("there is no such file yet")
        return sqlite_engine(self._file, changes=self._changes)

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Maps what SQLAlchemy, the drivers and the file system raise, and says where it was."""
        try:
            yield
        except LedgerUnavailable as error:
            raise type(error)(f"{self.place}: {error}") from error
        except DBAPIError as error:
            reason = f"{self.place}: {one_line(error.orig)}"
            if is_damage(error):
                raise LedgerUnusable(f"{reason}; restore it from a backup, or move it away to begin anew") from error
            raise LedgerUnavailable(reason) from error
        except SQLAlchemyError as error:
            raise LedgerUnavailable(f"{self.place}: {one_line(error)}") from error
        except ImportError as error:
            raise LedgerUnusable(f"{self.place}: psycopg is missing; install `tollgate[postgresql]`") from error
        except OSError as error:
            raise LedgerUnavailable(f"{self.place}: {error.strerror or error}") from error


def database_url(url: str, state_dir: Path) -> str:
    """The URL, or that of the database in the state directory."""
    return url or f"sqlite://{(state_dir / DATABASE_NAME).absolute()}"


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise LedgerUnusable("the URL of the ledger is none; write postgresql://USER@HOST:PORT/NAME") from None
