"""Follows the file that the control plane writes; each step adds what is new and how far it was read."""

from pathlib import Path
from typing import Final

from service_kit.clock import Clock
from service_kit.log import Logger
from usage_ledger.audit.book import Read, Written, add_read
from usage_ledger.audit.entries import AuditEntry, entry_of_line
from usage_ledger.audit.retention import remove_old
from usage_ledger.book import Head, forget, positions
from usage_ledger.database import Database
from usage_ledger.entries import BadLine
from usage_ledger.errors import LedgerUnavailable
from usage_ledger.files import Lines, Log
from usage_ledger.heads import keep
from usage_ledger.metrics import LedgerMetrics

SOURCE: Final = "audit"
HEAD_NAME: Final = "audit.head"


class AuditTail:
    """One file, one chain; used by the thread that has the database."""

    def __init__(
        self,
        database: Database,
        writer: str,
        path: Path,
        head: Path,
        *,
        metrics: LedgerMetrics,
        clock: Clock,
        log: Logger,
    ) -> None:
        self._database = database
        self._writer = writer
        self._path = path
        self._head = head
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._file: Log | None = None
        self._trouble = ""

    def step(self) -> bool:
        """Adds what is new; whether there was something. What cannot be read or added waits in the file."""
        try:
            file = self._following()
            found = [self._added(file, lines) for lines in file.read()]
            if gone := file.gone():
                self._database.run(lambda db: forget(db, self._writer, gone))
        except (LedgerUnavailable, OSError) as error:
            self._report(str(error))
            return False
        if self._trouble:
            self._log.info("the audit trail goes on")
        self._trouble = ""
        self._metrics.audit_behind.set(file.behind)
        return bool(found)

    def clean(self, retention: int | None) -> bool:
        """Removes what is older than these seconds; whether there was something. None: everything stays."""
        if retention is None:
            return False
        now = self._clock.now()
        before, at = round((now - retention) * 1000), round(now * 1000)
        try:
            removed = self._database.run(lambda db: remove_old(db, before, at))
        except LedgerUnavailable as error:
            self._log.warning("old rows of the audit trail not removed", reason=str(error))
            return False
        if removed is not None:
            self._log.info("old rows of the audit trail removed", writer=removed.head.writer, count=removed.count)
            if removed.head.writer == self._writer:
                self._keep(removed.head)
        return removed is not None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _following(self) -> Log:
        if self._file is None:
            known = self._database.run(lambda db: positions(db, self._writer))
            self._file = Log(SOURCE, self._path, self._clock, known)
        return self._file

    def _added(self, file: Log, lines: Lines) -> Written:
        found = [entry_of_line(line) for line in lines.lines]
        bad = tuple((SOURCE, item) for item in found if isinstance(item, BadLine))
        read = Read(tuple(item for item in found if isinstance(item, AuditEntry)), bad, lines.position)
        now = round(self._clock.now() * 1000)
        written = self._database.run(lambda db: add_read(db, self._writer, read, now))
        file.done((lines.position,))
        self._metrics.audited(written.rows)
        if bad:
            self._metrics.quarantined(SOURCE, len(bad))
            self._log.warning("lines quarantined", source=SOURCE, count=len(bad), reason=bad[0][1].reason)
        if written.rows:
            self._keep(written.head)
        return written

    def _keep(self, head: Head) -> None:
        try:
            keep(self._head, head)
        except OSError as error:
            self._log.warning("end of the audit trail not kept", reason=str(error))

    def _report(self, reason: str) -> None:
        if reason != self._trouble:
            self._log.error("events of the audit trail wait in its file", reason=reason)
        self._trouble = reason
