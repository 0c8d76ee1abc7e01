"""Rows of the audit trail that are old enough go, the oldest first; that they went is itself a row."""

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, func, select, update

from service_kit.audit import GATEWAY, Result
from usage_ledger.audit.book import append
from usage_ledger.audit.entries import AuditEntry
from usage_ledger.book import Head
from usage_ledger.tables import AUDIT, AUDIT_CHAINS, WRITERS, lock

EXPIRED: Final = "audit.expired"
DAY: Final = 86_400_000


@dataclass(frozen=True)
class Removed:
    """How many rows went, and the end of their chain then."""

    count: int
    head: Head


def remove_old(db: Connection, before: int, now: int) -> Removed | None:
    """Removes what happened before this moment, in milliseconds, from the beginning of a chain.

    Once its first row is a day older; also of a writer that is no more. None where there is nothing to remove. What
    stands behind a row that is not old stays as well.
    """
    lock(db)
    first = _oldest(db, before - DAY)
    if first is None:
        return None
    writer = db.execute(select(WRITERS).where(WRITERS.c.id == first.writer)).one()
    mine = AUDIT.c.writer == first.writer
    young = db.execute(select(func.min(AUDIT.c.seq)).where(mine, AUDIT.c.at >= before)).scalar_one()
    newest = db.execute(select(func.max(AUDIT.c.seq)).where(mine)).scalar_one()
    until = newest if young is None else young - 1
    last = db.execute(select(AUDIT.c.hash).where(mine, AUDIT.c.seq == until)).scalar_one()
    db.execute(delete(AUDIT).where(mine, AUDIT.c.seq <= until))
    gone = update(AUDIT_CHAINS).where(AUDIT_CHAINS.c.writer == first.writer)
    db.execute(gone.values(gone=until, gone_hash=last, horizon=before))
    count = until - first.seq + 1
    return Removed(count, append(db, writer, (_told(writer.name, until, last, count, now),)))


def _oldest(db: Connection, before: int) -> Any:  # Any: SQLAlchemy's row of two columns
    """The first row of a chain whose first row is old enough; None where there is none."""
    firsts = select(AUDIT.c.writer, func.min(AUDIT.c.seq).label("seq")).group_by(AUDIT.c.writer).subquery()
    of = and_(AUDIT.c.writer == firsts.c.writer, AUDIT.c.seq == firsts.c.seq)
    found = select(AUDIT.c.writer, AUDIT.c.seq).join(firsts, of).where(AUDIT.c.at < before)
    return db.execute(found.order_by(AUDIT.c.at).limit(1)).one_or_none()


def said(until: int, last: bytes) -> str:
    """How a row says which one was the last that went."""
    return json.dumps({"seq": until, "hash": last.hex()}, separators=(",", ":"))


def _told(name: str, until: int, last: bytes, count: int, now: int) -> AuditEntry:
    return AuditEntry(
        id=f"{EXPIRED}-{name}-{until}"[-128:],
        at=now,
        actor=GATEWAY,
        origin="ledger",
        action=EXPIRED,
        object=f"{count} rows of {name}",
        old=said(until, last),
        new=None,
        result=Result.DONE.value,
        why="",
    )
