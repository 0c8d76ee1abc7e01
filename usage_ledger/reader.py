"""What others ask of the ledger: answered by a thread and a connection of their own, so that no report delays a row."""

from typing import TypeVar

from sqlalchemy import Connection, select

from service_kit.worker import Worker
from usage_ledger.book import Head
from usage_ledger.database import Database, Work
from usage_ledger.reports import Line, Question, report
from usage_ledger.tables import WRITERS

T = TypeVar("T")


class Reader:
    """Reads the database, one question after the other."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._worker = Worker("reports")

    async def report(self, asked: Question) -> tuple[Line, ...]:
        return await self._do(lambda db: report(db, asked))

    async def heads(self) -> tuple[Head, ...]:
        return await self._do(heads)

    async def _do(self, work: Work[T]) -> T:
        return await self._worker.do(lambda: self._database.run(work))


def heads(db: Connection) -> tuple[Head, ...]:
    """The end of every chain."""
    found = db.execute(select(WRITERS.c.name, WRITERS.c.seq, WRITERS.c.hash).order_by(WRITERS.c.id))
    return tuple(Head(*row) for row in found)
