"""What the ledger tells of itself."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from usage_ledger.book import Added
from usage_ledger.model_metrics import ModelMetrics


class LedgerMetrics:
    """Counters and gauges of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rows = Counter("tollgate_ledger_rows", "Rows added, by kind", ["kind"], registry=registry)
        self._known = Counter(
            "tollgate_ledger_known", "Lines left out because their row is there already", registry=registry
        )
        self._settled = Counter(
            "tollgate_ledger_settled", "Rows that took the place of one that was unsettled", registry=registry
        )
        self._bad = Counter(
            "tollgate_ledger_quarantined", "Lines that are no rows, by source", ["source"], registry=registry
        )
        self.removed = Counter("tollgate_ledger_removed", "Rows removed for their age", registry=registry)
        self.behind = Gauge(
            "tollgate_ledger_behind_bytes", "Bytes of the logs that are not read yet", registry=registry
        )
        self._audit = Counter("tollgate_ledger_audit_rows", "Rows added to the audit trail", registry=registry)
        self.audit_behind = Gauge(
            "tollgate_ledger_audit_behind_bytes", "Bytes of the audit trail that are not read yet", registry=registry
        )
        self.up = Gauge("tollgate_ledger_database_up", "1 while the database takes rows", registry=registry)
        self._head = Gauge("tollgate_ledger_head", "Number of the last row of this chain", registry=registry)
        self._at = Gauge("tollgate_ledger_last_added_timestamp_seconds", "When rows were last added", registry=registry)
        self._models = ModelMetrics(registry)
        for kind in ("call", "unsettled"):
            self._rows.labels(kind)

    def added(self, added: Added, at: float) -> None:
        self._rows.labels("call").inc(added.calls)
        self._rows.labels("unsettled").inc(added.unsettled)
        self._known.inc(added.known)
        self._settled.inc(added.settled)
        for entry in added.entries:
            self._models.count(entry)
        self._head.set(added.head.seq)
        self._at.set(at)

    def audited(self, rows: int) -> None:
        self._audit.inc(rows)

    def quarantined(self, source: str, count: int) -> None:
        self._bad.labels(source).inc(count)
