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
    Replaced,
    SqliteFile,
    disposed_unless,
    is_damage,
    one_line,
    postgresql_engine,
    shown,
    sqlite_file,
)
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
        self._changes = changes
        self._server: Engine | None = None
        self._at: SqliteFile | URL
        if url.startswith(SQLITE_PREFIX):
            file = sqlite_file(url)
            self._at, self.place = SqliteFile(file, changes=changes), str(file)
        else:
            self._at = _parsed(url)
            self.place = shown(self._at)

    def run(self, work: Work[Answer]) -> Answer:
        """The answer of a piece of work that is done whole, and on the disk, or not at all; blocks."""
        with self._errors_named(), self._opened().begin() as db:
            if not isinstance(self._at, SqliteFile):
                db.exec_driver_sql(STATEMENT_BOUNDS if self._changes else f"{ONE_MOMENT}; {STATEMENT_BOUNDS}")
            return work(db)

    def close(self) -> None:
        if isinstance(self._at, SqliteFile):
            self._at.close()
        elif self._server is not None:
            self._server.dispose()
            self._server = None

    def _opened(self) -> Engine:
        ready = prepare if self._changes else check
        if isinstance(self._at, SqliteFile):
            try:
                return self._at.engine(ready)
            except Replaced as error:
                raise LedgerUnavailable(f"{error}; restart") from error
        if self._server is None:
            engine = postgresql_engine(self._at)
            with disposed_unless(engine, ready):
                self._server = engine
        return self._server

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
