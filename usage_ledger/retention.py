"""Rows that are old enough go, in whole segments and the oldest first; their sums stay, and so does the chain.

A writer removes its own, but for the segment that it adds to. Those of a writer that has added nothing for as long as
rows are kept go by whoever shares the database: the names of pods do not come back.
"""

from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, or_, select, update

from usage_ledger.tables import QUARANTINE, ROWS, SEGMENTS, WRITERS, lock


def remove_one(db: Connection, name: str, before: int, now: int) -> int | None:
    """Removes the oldest segment of a writer, this one or a silent one, all of which started before this moment.

    In milliseconds. How many rows it had; None where there is none to remove.
    """
    lock(db)
    segment = _oldest(db, name, before)
    if segment is None:
        return None
    writer = segment.writer
    inside = ROWS.c.seq.between(segment.first, segment.last)
    db.execute(delete(ROWS).where(ROWS.c.writer == writer, inside))
    gone = update(SEGMENTS).where(SEGMENTS.c.writer == writer, SEGMENTS.c.first == segment.first)
    db.execute(gone.values(removed=now))
    beyond = update(WRITERS).where(WRITERS.c.id == writer, WRITERS.c.horizon <= segment.newest)
    db.execute(beyond.values(horizon=segment.newest + 1))
    db.execute(delete(QUARANTINE).where(QUARANTINE.c.writer == writer, QUARANTINE.c.at < before))
    return int(segment.last - segment.first + 1)


def _oldest(db: Connection, name: str, before: int) -> Row[Any] | None:  # Any: SQLAlchemy's columns
    """The first segment that a writer has, if it is old enough."""
    of, first, newest = SEGMENTS.c.writer, func.min(SEGMENTS.c.first), func.max(SEGMENTS.c.newest)
    there = select(of, first.label("first"), func.count().label("segments"), newest.label("newest"))
    kept = there.where(SEGMENTS.c.removed.is_(None)).group_by(of).subquery()
    may_go = or_(
        and_(WRITERS.c.name == name, kept.c.segments > 1), and_(WRITERS.c.name != name, kept.c.newest < before)
    )
    found = (
        select(SEGMENTS)
        .join(kept, and_(of == kept.c.writer, SEGMENTS.c.first == kept.c.first))
        .join(WRITERS, WRITERS.c.id == of)
        .where(SEGMENTS.c.newest < before, may_go)
    )
    return db.execute(found.order_by(SEGMENTS.c.newest).limit(1)).one_or_none()
