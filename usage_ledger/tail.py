"""The tail: reads what is new, adds it to the ledger, and only then counts it as read. No line stops it.

Each step is whole: the files' positions are in the transaction of the rows. What the database cannot take now is read
again and tried again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from service_kit.clock import Clock
from service_kit.log import Logger
from usage_ledger.book import Added, Batch, Head, add, forget, positions
from usage_ledger.database import Database
from usage_ledger.entries import ROW_BEGINS, BadLine, Entry, entry_of_event, entry_of_row
from usage_ledger.errors import LedgerUnavailable
from usage_ledger.files import Lines, Log
from usage_ledger.heads import keep
from usage_ledger.metrics import LedgerMetrics

Parse = Callable[[bytes], Entry | BadLine | None]

ROWS: Final = "access"
EVENTS: Final = "events"
PARSE: Final[dict[str, Parse]] = {ROWS: entry_of_row, EVENTS: entry_of_event}
# Seconds between two writings of the chain's end beside the database.
KEEP_EVERY: Final = 1.0


@dataclass(frozen=True)
class Sources:
    """Whose chain it is, what it is made of, and where its end is kept."""

    writer: str
    access_log: Path
    events: Path | None
    head: Path


class Tail:
    """Adds what is written to the logs, step by step, in one thread; `echo` gets the rows that are in the ledger."""

    def __init__(
        self,
        database: Database,
        sources: Sources,
        *,
        metrics: LedgerMetrics,
        clock: Clock,
        log: Logger,
        echo: BinaryIO | None = None,
    ) -> None:
        self._database = database
        self._sources = sources
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._echo = echo
        self._logs: tuple[Log, ...] = ()
        # Nothing could be read or taken at the last step.
        self.failing = False
        self._head: Head | None = None
        self._kept: tuple[float, Head | None] = (0.0, None)

    def step(self) -> bool:
        """Adds what is new; whether there was something. What keeps it from that is told once, and is no end."""
        try:
            found = [self._added(lines) for log in self._following() for lines in log.read()]
            self._forget()
        except LedgerUnavailable as error:
            self._metrics.up.set(0)
            self._report("rows wait in the log: the database takes none", error)
            return False
        except OSError as error:
            self._report("rows wait in the log: it cannot be read", error)
            return False
        self._metrics.up.set(1)
        self.failing = False
        self._keep_head(at_once=not found)
        self._metrics.behind.set(sum(log.behind for log in self._logs))
        return bool(found)

    def finish(self) -> None:
        """Reads to the end; for a process that stops when nobody writes any more."""
        while self.step():
            pass

    def finished(self) -> tuple[Path, ...]:
        """Renamed access logs of which every row is in the ledger."""
        return tuple(path for log in self._logs if log.source == ROWS for path in log.finished())

    def close(self) -> None:
        for log in self._logs:
            log.close()

    def _following(self) -> Sequence[Log]:
        if not self._logs:
            known = self._database.run(lambda db: positions(db, self._sources.writer))
            named = ((ROWS, self._sources.access_log), (EVENTS, self._sources.events))
            self._logs = tuple(Log(source, path, self._clock, known) for source, path in named if path is not None)
        return self._logs

    def _added(self, lines: Lines) -> Added:
        source, position = lines.position.source, lines.position
        read = [found for line in lines.lines for found in entries(source, line)]
        batch = Batch(
            entries=tuple(item for item in read if isinstance(item, Entry)),
            bad=tuple((source, item) for item in read if isinstance(item, BadLine)),
            positions=(position,),
        )
        now = self._clock.now()
        added = self._database.run(lambda db: add(db, self._sources.writer, batch, round(now * 1000)))
        next(log for log in self._logs if log.source == source).done((position,))
        if self._echo is not None and source == ROWS:
            self._echo.write(b"\n".join((*lines.lines, b"")))
            self._echo.flush()
        self._metrics.added(added, now)
        if batch.bad:
            self._metrics.quarantined(source, len(batch.bad))
            self._log.warning("lines quarantined", source=source, count=len(batch.bad), reason=batch.bad[0][1].reason)
        self._head = added.head
        return added

    def _forget(self) -> None:
        if gone := [position for log in self._logs for position in log.gone()]:
            self._database.run(lambda db: forget(db, self._sources.writer, gone))

    def _keep_head(self, *, at_once: bool) -> None:
        """While rows come, not after each of them; a disk that is full costs the proof of the last rows alone."""
        at, kept = self._kept
        now = self._clock.monotonic()
        if self._head is None or self._head == kept or not (at_once or now - at >= KEEP_EVERY):
            return
        try:
            keep(self._sources.head, self._head)
        except OSError as error:
            self._log.warning("end of the chain not kept", reason=str(error))
        self._kept = now, self._head

    def _report(self, event: str, error: Exception) -> None:
        log = self._log.debug if self.failing else self._log.error
        log(event, reason=str(error))
        self.failing = True


def entries(source: str, line: bytes) -> tuple[Entry | BadLine, ...]:
    """What a line says. A whole row may stand behind one that was never finished: then it is both."""
    parse = PARSE[source]
    found = parse(line)
    if found is None:
        return ()
    if isinstance(found, BadLine) and source == ROWS:
        begin = max((match.start() for match in ROW_BEGINS.finditer(line)), default=0)
        behind = parse(line[begin:]) if begin else None
        if isinstance(behind, Entry):
            return (BadLine("never finished", line[:begin]), behind)
    return (found,)
