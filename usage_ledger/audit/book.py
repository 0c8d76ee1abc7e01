"""What one transaction adds to the audit trail: rows behind the chain's last one, and how far the file was read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from usage_ledger.audit.entries import AuditEntry
from usage_ledger.book import Head, Position, quarantine, remember, writer_row
from usage_ledger.chain import beginning, link
from usage_ledger.entries import BadLine
from usage_ledger.tables import AUDIT, AUDIT_CHAINS, WRITERS, lock


@dataclass(frozen=True)
class Read:
    """What was read of a file, and how far."""

    entries: tuple[AuditEntry, ...]
    bad: tuple[tuple[str, BadLine], ...]
    position: Position


@dataclass(frozen=True)
class Written:
    """What became of it; `known` were there before, or are older than what is kept."""

    head: Head
    rows: int
    known: int


def first_hash(writer: str) -> bytes:
    """What stands before the first row; not what stands before the calls of the same writer."""
    return beginning(f"audit\0{writer}")


def add_read(db: Connection, name: str, read: Read, now: int) -> Written:
    """Adds what a writer read; `now` in milliseconds."""
    lock(db)
    writer = writer_row(db, name)
    fresh = _fresh(db, _chain(db, writer), read.entries)
    head = append(db, writer, fresh)
    quarantine(db, writer.id, read.bad, now)
    remember(db, writer.id, (read.position,))
    return Written(head, len(fresh), len(read.entries) - len(fresh))


def append(db: Connection, writer: Row[Any], entries: Sequence[AuditEntry]) -> Head:  # Any: SQLAlchemy's columns
    """The end of the chain with these behind it."""
    chain = _chain(db, writer)
    last = Head(writer.name, chain.seq, chain.hash)
    rows = []
    for entry in entries:
        last = Head(writer.name, last.seq + 1, link(last.hash, entry))
        rows.append({"writer": writer.id, "seq": last.seq, "hash": last.hash, **entry._asdict()})
    if rows:
        db.execute(insert(AUDIT), rows)
        db.execute(update(AUDIT_CHAINS).where(AUDIT_CHAINS.c.writer == writer.id).values(seq=last.seq, hash=last.hash))
    return last


def ends(db: Connection) -> tuple[Head, ...]:
    """The end of every chain."""
    columns = (WRITERS.c.name, AUDIT_CHAINS.c.seq, AUDIT_CHAINS.c.hash)
    found = select(*columns).join(WRITERS, WRITERS.c.id == AUDIT_CHAINS.c.writer).order_by(WRITERS.c.id)
    return tuple(Head(*row) for row in db.execute(found))


def _chain(db: Connection, writer: Row[Any]) -> Row[Any]:
    mine = select(AUDIT_CHAINS).where(AUDIT_CHAINS.c.writer == writer.id)
    found = db.execute(mine).one_or_none()
    if found is not None:
        return found
    start = first_hash(writer.name)
    db.execute(insert(AUDIT_CHAINS).values(writer=writer.id, seq=0, hash=start, gone=0, gone_hash=start, horizon=0))
    return db.execute(mine).one()


def _fresh(db: Connection, chain: Row[Any], entries: Sequence[AuditEntry]) -> list[AuditEntry]:
    """What is not there yet, each once: the first that was said of an act counts."""
    new = {entry.id: entry for entry in reversed(entries) if entry.at >= chain.horizon}
    named = select(AUDIT.c.id).where(AUDIT.c.writer == chain.writer, AUDIT.c.id.in_(new))
    known = set(db.execute(named).scalars()) if new else set()
    return [entry for entry in entries if new.get(entry.id) is entry and entry.id not in known]
