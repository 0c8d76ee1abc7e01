"""Whether the audit trail is as it was written: every row follows from the one before, and none is missing.

It reads the database alone. Rows that went for their age are vouched for by a row of the chain itself; that the last
ones were cut off shows by ends of chains that were kept elsewhere.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from usage_ledger.audit.book import ends, first_hash
from usage_ledger.audit.entries import AuditEntry
from usage_ledger.audit.retention import EXPIRED, said
from usage_ledger.book import Head
from usage_ledger.chain import link
from usage_ledger.kept_ends import Finding, KeptEnds, whole_chains_gone
from usage_ledger.tables import AUDIT, AUDIT_CHAINS, WRITERS
from usage_ledger.verify import Verified

PAGE: Final = 5_000


def verify_trail(db: Connection, kept: Iterable[Head] = ()) -> Verified:
    """Looks at every row; `kept` are ends of chains that were kept elsewhere."""
    kept = tuple(kept)
    columns = (AUDIT_CHAINS, WRITERS.c.name)
    chains = db.execute(select(*columns).join(WRITERS, WRITERS.c.id == AUDIT_CHAINS.c.writer)).all()
    looked = [_Chain(db, chain, KeptEnds(chain.name, kept, beginning=max(1, chain.gone))) for chain in chains]
    found = [finding for chain in looked for finding in chain.findings()]
    found += whole_chains_gone(kept, {chain.name for chain in chains})
    found += _of_nobody(db)
    return Verified(ends(db), sum(chain.rows for chain in looked), sum(chain.gone for chain in chains), tuple(found))


def _of_nobody(db: Connection) -> Iterator[Finding]:
    """Rows of a chain that is not there."""
    there = select(AUDIT_CHAINS.c.writer).join(WRITERS, WRITERS.c.id == AUDIT_CHAINS.c.writer)
    lost = select(AUDIT.c.writer, AUDIT.c.seq).where(AUDIT.c.writer.not_in(there)).order_by(AUDIT.c.seq).limit(1)
    for writer, seq in db.execute(lost):
        yield Finding(f"number {writer}", "inserted", seq, seq, "a row of a writer that is not there")


class _Chain:
    """One writer's rows, looked at in their order."""

    def __init__(self, db: Connection, chain: Row[Any], kept: KeptEnds) -> None:
        self.rows = 0
        self._db = db
        self._chain = chain
        self._kept = kept
        self._vouched = (chain.gone, chain.gone_hash) == (0, first_hash(chain.name))

    def findings(self) -> Iterator[Finding]:
        expected, before = self._chain.gone + 1, self._chain.gone_hash
        yield from self._kept.unlike(self._chain.gone, before)
        for seq, hash_, entry in self._links():
            if seq != expected:
                yield self._found("removed", expected, seq - 1, "missing")
            elif link(before, entry) != hash_:
                yield self._found("changed", seq, seq, "not what was written, or another row stood before it")
            yield from self._kept.unlike(seq, hash_)
            self._hear(entry)
            expected, before = seq + 1, hash_
            self.rows += 1
        yield from self._end(expected, before)

    def _links(self) -> Iterator[tuple[int, bytes, AuditEntry]]:
        columns = (AUDIT.c.seq, AUDIT.c.hash, *(AUDIT.c[name] for name in AuditEntry._fields))
        last = -1
        while True:
            page = select(*columns).where(AUDIT.c.writer == self._chain.writer, AUDIT.c.seq > last)
            rows = self._db.execute(page.order_by(AUDIT.c.seq).limit(PAGE)).all()
            for seq, hash_, *content in rows:
                yield seq, hash_, AuditEntry(*content)
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    def _hear(self, entry: AuditEntry) -> None:
        """Whether it says of the rows that are gone that they went for their age."""
        if entry.action == EXPIRED and entry.old == said(self._chain.gone, self._chain.gone_hash):
            self._vouched = True

    def _end(self, expected: int, before: bytes) -> Iterator[Finding]:
        chain = self._chain
        if not self._vouched:
            yield self._found("removed", 1, chain.gone, "no row says that these went for their age")
        if chain.seq >= expected:
            yield self._found("removed", expected, chain.seq, "cut off at the end")
        elif (chain.seq, chain.hash) != (expected - 1, before):
            yield self._found("inserted", chain.seq + 1, expected - 1, "behind the end of the chain")
        yield from self._kept.behind(expected, chain.seq)

    def _found(self, kind: str, first: int, last: int, told: str) -> Finding:
        return Finding(self._chain.name, kind, first, last, told)
