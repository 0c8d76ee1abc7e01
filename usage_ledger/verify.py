"""Whether the ledger is as it was written: every row follows from the one before, none is missing, the sums are right.

It reads the database alone, and trusts nothing that the process which writes it says. That the last rows were cut off
shows by the ends of chains that were kept elsewhere.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from usage_ledger.book import Head
from usage_ledger.chain import FIELDS, beginning, link, said
from usage_ledger.entries import UNSETTLED, Entry
from usage_ledger.kept_ends import Finding, KeptEnds, whole_chains_gone
from usage_ledger.sums import Amounts, Place, Sums
from usage_ledger.tables import DIMENSIONS, ROWS, SEGMENTS, SPANS, SUMS, WRITERS

PAGE: Final = 5_000
# Breaks of one chain that are looked into.
MOST_BREAKS: Final = 200
# Rows around a break among whose hashes the one is looked for that a row follows.
NEAR: Final = 50


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what is wrong with it."""

    heads: tuple[Head, ...]
    rows: int
    # Rows that are gone for their age, in whole segments.
    removed: int
    findings: tuple[Finding, ...]
    # Milliseconds: the last of these started then. That they were old enough says nothing in the database.
    removed_until: int = 0


@dataclass(frozen=True)
class _Link:
    """A row, by its number, with the hash it has and the content it should follow from."""

    seq: int
    hash: bytes
    content: tuple[Any, ...]  # Any: SQLAlchemy's values


def verify(db: Connection, kept: Iterable[Head] = ()) -> Verified:
    """Looks at every row; `kept` are ends of chains that were kept elsewhere."""
    found: list[Finding] = []
    heads: list[Head] = []
    totals = _Totals()
    rows = removed = until = 0
    kept = tuple(kept)
    for writer in db.execute(select(WRITERS).order_by(WRITERS.c.id)).all():
        chain = _Chain(db, writer, KeptEnds(writer.name, kept), totals)
        found += chain.findings()
        rows += chain.rows
        removed += chain.removed
        until = max(until, chain.removed_until)
        heads.append(Head(writer.name, writer.seq, writer.hash))
    found += whole_chains_gone(kept, {head.writer for head in heads})
    found += _of_nobody(db)
    found += totals.findings(db)
    return Verified(tuple(heads), rows, removed, tuple(found), until)


def _of_nobody(db: Connection) -> Iterator[Finding]:
    """Rows of a writer that is not there: one look for each number between those that are, not one at every row."""
    there = db.execute(select(WRITERS.c.id).order_by(WRITERS.c.id)).scalars().all()
    for after, before in pairwise((None, *there, None)):
        between = [ROWS.c.writer > after] if after is not None else []
        between += [ROWS.c.writer < before] if before is not None else []
        lost = select(ROWS.c.writer, ROWS.c.seq).where(*between).order_by(ROWS.c.writer, ROWS.c.seq).limit(1)
        for writer, seq in db.execute(lost):
            yield Finding(f"number {writer}", "inserted", seq, seq, "a row of a writer that is not there")


class _Chain:
    """One writer's rows, looked at in their order."""

    def __init__(self, db: Connection, writer: Row[Any], kept: KeptEnds, totals: "_Totals") -> None:
        self.rows = 0
        self.removed = self.removed_until = 0
        self._db = db
        self._writer = writer
        self._kept = kept
        self._totals = totals
        self._breaks: list[int] = []

    def findings(self) -> Iterator[Finding]:
        expected, before = yield from self._segments_gone()
        for row in self._links():
            if row.seq != expected:
                yield self._found("removed", expected, row.seq - 1, "missing")
            elif link(before, said(row.content)) != row.hash:
                self._breaks.append(row.seq)
            yield from self._kept.unlike(row.seq, row.hash)
            expected, before = row.seq + 1, row.hash
            self.rows += 1
        yield from self._end(expected, before)
        yield from self._explained()

    def _segments_gone(self) -> Any:  # Any: a generator of findings that returns where the rows begin
        """Segments that were removed for their age: each follows from the one before."""
        expected, before = 1, beginning(self._writer.name)
        gone = select(SEGMENTS).where(SEGMENTS.c.writer == self._writer.id).order_by(SEGMENTS.c.first)
        for segment in self._db.execute(gone).all():
            if segment.removed is None:
                break
            if segment.first != expected or segment.before != before:
                yield self._found("removed", expected, segment.last, "segments that went for their age do not follow")
            self.removed += segment.last - segment.first + 1
            self.removed_until = max(self.removed_until, segment.newest)
            self._totals.incomplete_until(segment.newest)
            expected, before = segment.last + 1, segment.hash
            self._kept.forget_until(segment.last)
        return expected, before

    def _links(self) -> Iterator[_Link]:
        columns = (ROWS.c.seq, ROWS.c.hash, *(ROWS.c[name] for name in FIELDS))
        last: int | None = None
        while True:
            page = select(*columns).where(ROWS.c.writer == self._writer.id).order_by(ROWS.c.seq).limit(PAGE)
            rows = self._db.execute(page if last is None else page.where(ROWS.c.seq > last)).all()
            for seq, hash_, *content in rows:
                self._totals.add(Entry(*content))
                yield _Link(seq, hash_, tuple(content))
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    def _end(self, expected: int, before: bytes) -> Iterator[Finding]:
        if self._writer.seq >= expected:
            yield self._found("removed", expected, self._writer.seq, "cut off at the end")
        elif (self._writer.seq, self._writer.hash) != (expected - 1, before):
            yield self._found("inserted", self._writer.seq + 1, expected - 1, "behind the end of the chain")
        yield from self._kept.behind(expected, self._writer.seq)

    def _explained(self) -> Iterator[Finding]:
        """What happened where a row does not follow from the one before."""
        if len(self._breaks) > MOST_BREAKS:
            first, last = self._breaks[0], self._breaks[-1]
            yield self._found("changed", first, last, f"{len(self._breaks)} rows do not follow from those before")
            return
        moved = {seq: self._follows(seq) for seq in self._breaks}
        for seq, place in moved.items():
            if place is None:
                if moved.get(seq + 1) != seq - 1:
                    yield self._found("changed", seq, seq, "not what was written, or a row before it is gone")
            elif place < seq - 1 and all(moved.get(between) is None for between in range(place + 1, seq)):
                yield self._found("inserted", place + 1, seq - 1, f"row {seq} follows from row {place}")
            else:
                yield self._found("reordered", seq, seq, f"it belongs behind row {place}")

    def _follows(self, seq: int) -> int | None:
        """Behind which row near by this one belongs; None where none is."""
        near = ROWS.c.seq.between(seq - NEAR, seq + NEAR)
        columns = (ROWS.c.seq, ROWS.c.hash, *(ROWS.c[name] for name in FIELDS))
        around = self._db.execute(select(*columns).where(ROWS.c.writer == self._writer.id, near)).all()
        own = next(row for row in around if row.seq == seq)
        starts = {beginning(self._writer.name): 0} | {row.hash: row.seq for row in around}
        return next((place for start, place in starts.items() if link(start, said(own[2:])) == own.hash), None)

    def _found(self, kind: str, first: int, last: int, said: str) -> Finding:
        return Finding(self._writer.name, kind, first, last, said)


class _Totals:
    """The sums as the rows say them, against those that are kept."""

    def __init__(self) -> None:
        self._sums = Sums()
        self._unsettled: dict[bytes, Entry] = {}
        self._settled: set[bytes] = set()
        self._complete_from = 0  # seconds

    def add(self, entry: Entry) -> None:
        self._sums.add(entry)
        if entry.kind == UNSETTLED:
            self._unsettled[entry.key] = entry
        elif entry.settles:
            self._settled.add(entry.key)

    def incomplete_until(self, milliseconds: int) -> None:
        """Rows that started till then are not all there."""
        day = 86_400
        self._complete_from = max(self._complete_from, (milliseconds // 1000 // day + 1) * day)

    def findings(self, db: Connection) -> Iterator[Finding]:
        for key in self._settled & self._unsettled.keys():
            self._sums.add(self._unsettled[key], -1)
        for seconds, table in SPANS:
            wanted = self._later(self._sums.of_span(seconds))
            kept = select(table).where(table.c.begin >= self._complete_from)
            found = {tuple(row[: 1 + len(DIMENSIONS)]): list(row[1 + len(DIMENSIONS) :]) for row in db.execute(kept)}
            for place in sorted(wanted.keys() | found.keys()):
                if (said := _difference(wanted.get(place), found.get(place))) is not None:
                    named = " ".join(map(str, place))
                    yield Finding("", "sums", 0, 0, f"{table.name} at {named}: {said}")

    def _later(self, sums: Mapping[Place, Amounts]) -> Mapping[Place, Amounts]:
        return {place: amounts for place, amounts in sums.items() if place[0] >= self._complete_from}


def _difference(rows: Amounts | None, kept: Amounts | None) -> str | None:
    nothing = [0] * len(SUMS)
    told = zip(SUMS, rows or nothing, kept or nothing, strict=True)
    differ = [f"{name} {is_} where the rows say {wanted}" for name, wanted, is_ in told if wanted != is_]
    return ", ".join(differ) or None
