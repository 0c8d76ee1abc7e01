"""Ends of chains that were kept outside of the database, against what is in it: without them nobody could tell that the
last rows are gone.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from usage_ledger.book import Head


@dataclass(frozen=True)
class Finding:
    """What is wrong with the rows `first` to `last` of a writer, or, without them, with its sums."""

    writer: str
    kind: str
    first: int
    last: int
    said: str


class KeptEnds:
    """Those of one writer's chain, behind the rows that went for their age; each is looked at once."""

    def __init__(self, writer: str, kept: Iterable[Head], *, beginning: int = 0) -> None:
        self._writer = writer
        # Of one row several: whoever makes a chain anew may keep its end where an honest one is kept.
        self._hashes: dict[int, set[bytes]] = defaultdict(set)
        for head in kept:
            if head.writer == writer and head.seq >= beginning:
                self._hashes[head.seq].add(head.hash)

    def forget_until(self, seq: int) -> None:
        """Rows that are gone, and may be, say nothing."""
        for gone in [known for known in self._hashes if known <= seq]:
            del self._hashes[gone]

    def unlike(self, seq: int, hash_: bytes) -> Iterator[Finding]:
        """Where a row has another hash than was kept of it."""
        for kept in sorted(self._hashes.pop(seq, set()) - {hash_}):
            yield Finding(self._writer, "changed", 1, seq, f"the kept hash of row {seq} was {kept.hex()[:12]}")

    def behind(self, expected: int, last: int) -> Iterator[Finding]:
        """Where the chain went on behind its `last` row; `expected` is the number of the next that could come."""
        cut = [seq for seq in self._hashes if seq >= max(expected, last + 1)]
        if cut:
            yield Finding(
                self._writer, "removed", expected, max(cut), "cut off at the end, says a kept end of the chain"
            )


def whole_chains_gone(kept: Iterable[Head], known: Collection[str]) -> Iterator[Finding]:
    """Where there is no writer any more of whom an end was kept."""
    for head in kept:
        if head.writer not in known:
            yield Finding(head.writer, "removed", 1, head.seq, "the whole chain is gone")
