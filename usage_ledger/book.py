"""What one transaction adds to the ledger: rows behind the chain's last one, the sums, and how far each file was read.

All of it or nothing: after a crash the files are read on from where the last row came from. A row that is there already
is left out, so that a file which is read twice adds nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from usage_ledger.chain import FIELDS, beginning, link, said
from usage_ledger.entries import CALL, UNSETTLED, BadLine, Entry
from usage_ledger.sums import Sums
from usage_ledger.tables import POSITIONS, QUARANTINE, ROWS, SEGMENTS, WRITERS, lock
from usage_ledger.values import KEY_SIZE

# Rows of a segment, after which another one begins; so does it with the day.
SEGMENT_ROWS: Final = 10_000
DAY: Final = 86_400_000
# Names in one question; SQLite takes 32,766 at the most.
MOST_NAMES: Final = 5_000
# Bytes of a bad line that are kept.
KEPT_OF_A_LINE: Final = 4096

# What every batch says, made once: to make a statement costs more than to carry it out.
_WRITER: Final = select(WRITERS).where(WRITERS.c.name == bindparam("called"))
_CALLS: Final = select(ROWS.c.key, ROWS.c.kind, ROWS.c.writer, ROWS.c.seq).where(
    ROWS.c.key.in_(bindparam("named", expanding=True))
)
_ROWS: Final = insert(ROWS)
_MOVE: Final = update(WRITERS).where(WRITERS.c.id == bindparam("of"))
_OPEN: Final = select(SEGMENTS).where(SEGMENTS.c.writer == bindparam("of")).order_by(SEGMENTS.c.first.desc()).limit(1)
_LONGER: Final = update(SEGMENTS).where(SEGMENTS.c.writer == bindparam("of"), SEGMENTS.c.first == bindparam("begun"))
_FILE: Final = ("writer", "source", "device", "inode")
_THIS_FILE: Final = tuple(POSITIONS.c[name] == bindparam(f"of_{name}") for name in _FILE)
_READ_ON: Final = update(POSITIONS).where(*_THIS_FILE)
_READ: Final = insert(POSITIONS)
_GONE: Final = delete(POSITIONS).where(*_THIS_FILE)


@dataclass(frozen=True)
class Position:
    """How far a file was read: known by its place on the disk, and by the hash of its first bytes."""

    source: str
    device: int
    inode: int
    offset: int
    head_size: int
    head: bytes


@dataclass(frozen=True)
class Batch:
    """What was read, and how far."""

    entries: tuple[Entry, ...]
    bad: tuple[tuple[str, BadLine], ...]
    positions: tuple[Position, ...]


@dataclass(frozen=True)
class Head:
    """The last row of a chain."""

    writer: str
    seq: int
    hash: bytes


@dataclass(frozen=True)
class Added:
    """What became of a batch."""

    head: Head
    calls: int
    unsettled: int
    # There before, or too old to be told from what was there before.
    known: int
    # Of the calls, those whose hold stood as unsettled.
    settled: int
    # The rows that were added.
    entries: tuple[Entry, ...] = ()


def add(db: Connection, name: str, batch: Batch, now: int) -> Added:
    """Adds a batch of a writer; `now` in milliseconds."""
    lock(db)
    writer = writer_row(db, name)
    fresh, replaced = _fresh(db, writer, batch.entries)
    sums = Sums()
    for entry in fresh:
        sums.add(entry)
    for entry in replaced:
        sums.add(entry, -1)
    last = _append(db, writer, fresh, now)
    sums.write(db)
    quarantine(db, writer.id, batch.bad, now)
    remember(db, writer.id, batch.positions)
    unsettled = sum(entry.kind == UNSETTLED for entry in fresh)
    known = len(batch.entries) - len(fresh)
    return Added(last, len(fresh) - unsettled, unsettled, known, len(replaced), tuple(fresh))


def positions(db: Connection, name: str) -> tuple[Position, ...]:
    """How far the files of a writer were read."""
    found = db.execute(
        select(POSITIONS).join(WRITERS, WRITERS.c.id == POSITIONS.c.writer).where(WRITERS.c.name == name)
    )
    return tuple(
        Position(row.source, int(row.device), int(row.inode), row.offset, row.head_size, row.head) for row in found
    )


def forget(db: Connection, name: str, gone: Iterable[Position]) -> None:
    """Files that are not there any more, read to their end or not."""
    lock(db)
    writer = writer_row(db, name)
    for position in gone:
        db.execute(_GONE, _this_file(writer.id, position))


def writer_row(db: Connection, name: str) -> Row[Any]:  # Any: SQLAlchemy's columns
    """The writer of this name, with nothing written where it is new."""
    found = db.execute(_WRITER, {"called": name}).one_or_none()
    if found is not None:
        return found
    db.execute(insert(WRITERS).values(name=name, seq=0, hash=beginning(name), horizon=0))
    return db.execute(_WRITER, {"called": name}).one()


def _fresh(db: Connection, writer: Row[Any], entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """What of the entries is new, and the unsettled rows that some of them take the place of."""
    known = _Known(db, writer.id, entries)
    fresh, replaced = [], []
    for entry in entries:
        if entry.started < writer.horizon or known.has(entry):
            continue
        held = known.take_unsettled(entry)
        if held is not None:
            replaced.append(held)
        fresh.append(entry if held is None else entry._replace(settles=1))
        known.remember(entry)
    return fresh, replaced


class _Known:
    """Which calls and holds are in the ledger, of those that a batch names."""

    def __init__(self, db: Connection, writer: int, entries: Sequence[Entry]) -> None:
        self._own: set[bytes] = set()
        self._calls: set[bytes] = set()
        self._unsettled: dict[bytes, Entry] = {}
        for row in _rows_of(db, [entry.key for entry in entries]):
            if row.kind == UNSETTLED:
                self._unsettled[row.key] = _unsettled_row(db, row)
                continue
            self._calls.add(row.key)
            if row.writer == writer:
                self._own.add(row.key)

    def has(self, entry: Entry) -> bool:
        """A call is known by its writer alone; a hold that any writer knows the end of is not unsettled."""
        if entry.kind == CALL:
            return entry.key in self._own
        return entry.key in self._calls or entry.key in self._unsettled

    def take_unsettled(self, entry: Entry) -> Entry | None:
        """The unsettled row of a call that nobody has taken the place of yet."""
        if entry.kind == UNSETTLED or entry.key in self._calls:
            return None
        return self._unsettled.get(entry.key)

    def remember(self, entry: Entry) -> None:
        if entry.kind == UNSETTLED:
            self._unsettled[entry.key] = entry
        else:
            self._own.add(entry.key)
            self._calls.add(entry.key)


def _rows_of(db: Connection, keys: Sequence[bytes]) -> Iterator[Any]:  # Any: rows of four columns
    for start in range(0, len(keys), MOST_NAMES):
        yield from db.execute(_CALLS, {"named": keys[start : start + MOST_NAMES]}).all()


def _unsettled_row(db: Connection, row: Row[Any]) -> Entry:
    found = select(*(ROWS.c[name] for name in FIELDS)).where(ROWS.c.writer == row.writer, ROWS.c.seq == row.seq)
    return Entry(*db.execute(found).one())


def _append(db: Connection, writer: Row[Any], entries: Sequence[Entry], now: int) -> Head:
    last = Head(writer.name, writer.seq, writer.hash)
    if not entries:
        return last
    rows = []
    for entry in entries:
        last = Head(writer.name, last.seq + 1, link(last.hash, said(entry)))
        rows.append({"writer": writer.id, "seq": last.seq, "key": entry.key, "hash": last.hash, **entry._asdict()})
    db.execute(_ROWS, rows)
    db.execute(_MOVE, {"of": writer.id, "seq": last.seq, "hash": last.hash})
    _extend(db, writer, last, newest=max(entry.started for entry in entries), now=now)
    return last


def _extend(db: Connection, writer: Row[Any], last: Head, *, newest: int, now: int) -> None:
    """Puts what was appended into the segment that is open, or begins one with it."""
    open_ = db.execute(_OPEN, {"of": writer.id}).one_or_none()
    if open_ is None or open_.removed is not None or _is_full(open_, now):
        fresh = {"first": writer.seq + 1, "last": last.seq, "before": writer.hash, "hash": last.hash}
        db.execute(insert(SEGMENTS).values(writer=writer.id, opened=now, newest=newest, removed=None, **fresh))
        return
    grown = {"last": last.seq, "hash": last.hash, "newest": max(newest, open_.newest)}
    db.execute(_LONGER, {"of": writer.id, "begun": open_.first, **grown})


def _is_full(segment: Row[Any], now: int) -> bool:
    return bool(segment.last - segment.first + 1 >= SEGMENT_ROWS or segment.opened // DAY != now // DAY)


def quarantine(db: Connection, writer: int, bad: Sequence[tuple[str, BadLine]], now: int) -> None:
    """Puts lines aside that are no rows, by source."""
    rows = {
        (digest := blake2b(line.line, digest_size=KEY_SIZE).digest()): {
            "writer": writer, "at": now, "digest": digest, "source": source, "reason": line.reason,
            "size": len(line.line), "line": _without_query(line.line)[:KEPT_OF_A_LINE],
        }
        for source, line in bad
    }  # fmt: skip
    if not rows:
        return
    there = select(QUARANTINE.c.digest).where(QUARANTINE.c.writer == writer, QUARANTINE.c.digest.in_(rows))
    known = set(db.execute(there).scalars())
    if fresh := [row for digest, row in rows.items() if digest not in known]:
        db.execute(insert(QUARANTINE), fresh)


def _without_query(line: bytes) -> bytes:
    """No path of a row has a query; of what is no row nobody knows what it is."""
    path, mark, _query = line.partition(b"?")
    return path + mark


def remember(db: Connection, writer: int, positions: Sequence[Position]) -> None:
    """How far files are read, in the transaction of what was read of them."""
    for position in positions:
        file = _this_file(writer, position)
        how_far = {"offset": position.offset, "head_size": position.head_size, "head": position.head}
        if not db.execute(_READ_ON, {**file, **how_far}).rowcount:
            db.execute(_READ, {**{name.removeprefix("of_"): value for name, value in file.items()}, **how_far})


def _this_file(writer: int, position: Position) -> dict[str, object]:
    """The values of _THIS_FILE."""
    device, inode = str(position.device), str(position.inode)
    return {"of_writer": writer, "of_source": position.source, "of_device": device, "of_inode": inode}
