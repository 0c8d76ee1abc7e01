"""The work that goes on as long as the process does: the tail, and rows that are old enough."""

import asyncio
from typing import Final

from service_kit.clock import Clock
from service_kit.log import Logger
from service_kit.worker import Worker
from usage_ledger.audit.tail import AuditTail
from usage_ledger.database import Database
from usage_ledger.errors import LedgerUnavailable
from usage_ledger.metrics import LedgerMetrics
from usage_ledger.policy import RetentionPolicy
from usage_ledger.retention import remove_one
from usage_ledger.rotation import Rotation
from usage_ledger.tail import Tail

# Seconds between two looks at logs: a row is in the ledger within a second. Many rows at once cost little more
# than one.
POLL: Final = 0.8
# And while the database takes no rows.
TRY_AGAIN: Final = 1.0
# Seconds between two looks for rows that are old enough.
CLEAN_EVERY: Final = 60.0
# Seconds between two looks at the size of the log, where it is ours to keep small.
ROTATE_EVERY: Final = 2.0
# Seconds that a process which stops may take to read the logs to their end.
LONGEST_FINISH: Final = 4.0


class Following:
    """Steps of the tail and of retention, in one thread, one after the other."""

    def __init__(
        self,
        database: Database,
        tail: Tail,
        writer: str,
        retention: RetentionPolicy,
        *,
        metrics: LedgerMetrics,
        clock: Clock,
        log: Logger,
        rotation: Rotation | None = None,
        audit: AuditTail | None = None,
    ) -> None:
        self._database = database
        self._tail = tail
        self._writer = writer
        self._retention = retention
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._rotation = rotation
        self._audit = audit
        self._worker = Worker("tail")

    async def run(self) -> None:
        """Until cancelled."""
        clean_at = rotate_at = 0.0
        while True:
            if not await self._worker.do(self._step):
                await asyncio.sleep(TRY_AGAIN if self._tail.failing else POLL)
            if (now := self._clock.monotonic()) >= clean_at:
                more = await self._worker.do(self.clean)
                clean_at = now if more else now + CLEAN_EVERY
            if self._rotation is not None and now >= rotate_at:
                await self._worker.do(self._rotate)
                rotate_at = now + ROTATE_EVERY

    async def finish(self) -> None:
        """Reads to the end, within a bound: what is left is read by the next process."""
        try:
            await asyncio.wait_for(self._worker.do(self._finish), LONGEST_FINISH)
        except TimeoutError:
            self._log.warning("stopped before the end of the logs; the next process goes on from there")
        self._worker.stop()

    def _step(self) -> bool:
        """Adds what is new; the audit trail first, of which there is little."""
        audited = self._audit is not None and self._audit.step()
        return self._tail.step() or audited

    def _finish(self) -> None:
        while self._step():
            pass

    def _rotate(self) -> None:
        if self._rotation is not None:
            self._rotation.rename()
            self._rotation.delete(self._tail.finished())

    def clean(self) -> bool:
        """Removes a segment that is old enough; whether there was one."""
        cleaned = self._audit is not None and self._audit.clean(self._retention.audit_seconds)
        if self._retention.seconds is None:
            return cleaned
        now = self._clock.now()
        before, at = round((now - self._retention.seconds) * 1000), round(now * 1000)
        try:
            removed = self._database.run(lambda db: remove_one(db, self._writer, before, at))
        except LedgerUnavailable as error:
            self._log.warning("old rows not removed", reason=str(error))
            return cleaned
        if removed is not None:
            self._metrics.removed.inc(removed)
            self._log.info("old rows removed", count=removed)
        return removed is not None or cleaned
