"""A ledger on a folder: rows as Envoy writes them, one tail after the other, and what is in the database then."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy import Column, Connection, Index, MetaData, Table, select, text, update

from service_kit.audit import AuditEvent, AuditFile
from tests.support.clock import StillClock
from usage_ledger.audit.reports import Asked, Told, trail
from usage_ledger.audit.tail import AuditTail
from usage_ledger.audit.verify import verify_trail
from usage_ledger.database import Database
from usage_ledger.metrics import LedgerMetrics
from usage_ledger.reports import Question, report
from usage_ledger.tables import ADDED, QUARANTINE, ROWS, SPANS, STATE
from usage_ledger.tail import Sources, Tail
from usage_ledger.verify import Verified, verify

EVERYTHING = Asked()
NOON = "2023-11-14T12:00:00.000Z"


def row(number: int, **fields: Any) -> dict[str, Any]:
    """A call that is not metered, as Envoy logs it."""
    return {
        "time": NOON, "request_id": f"00000000-0000-4000-8000-{number:012}", "route": "email", "method": "GET",
        "path": "/api/email", "status": 200, "flags": "-", "bytes_in": 10, "bytes_out": 20, "duration_ms": 3,
        "attempts": 1,
        "subject": "alice", "tenant": "-", "consumer": "acme", "plan": "free", "key_id": "-", "limit": None,
        "policy": "0123456789ab", "listener": "public", **fields,
    }  # fmt: skip


def metered(number: int, **fields: Any) -> dict[str, Any]:
    """A call whose tokens are counted: numbers of metadata are floats or texts."""
    held = f"00000000-0000-4000-8000-{number:012}.held"
    tokens = {"tokens_in": 100.0, "tokens_out": 200.0, "tokens_total": 300.0, "tokens_cached": 0}
    prices = {"price_in": "100000", "price_out": "300000", "model": "m", "usage": "chat", "cost": "1"}
    return row(number, hold=held, **{**tokens, **prices, **fields})


def of_model(number: int, **fields: Any) -> dict[str, Any]:
    """A call of the model llama3.1, whom a client asked for by an alias, and which the second of two answered."""
    targets = {
        "llm:local:llama3.1": {"upstream": "local", "model": "llama3.1:8b", "price_in": 0, "price_out": 0},
        "llm:cloud:llama3.1": {"upstream": "cloud", "model": "meta/llama", "price_in": 2e5, "price_out": "600000"},
    }
    named = {"route": "chat:llama3.1", "model": "llama3.1", "asked_model": "small", "attempts": 2}
    asked = {"upstream": "llm:cloud:llama3.1", "targets": targets, "first_token_ms": 250, "duration_ms": 1250}
    return metered(number, **{**named, **asked, "price_in": 0, "price_out": 0, "tokens_reasoning": 40.0, **fields})


def unsettled(number: int, **fields: Any) -> dict[str, Any]:
    """What the rate-limit service says of the hold of a metered call whose end it never heard of."""
    return {
        "type": "unsettled", "hold": f"00000000-0000-4000-8000-{number:012}.held", "at": 1_699_963_260.5,
        "route": "chat", "subject": "alice", "tenant": None, "consumer": "acme", "plan": "free",
        "tokens_in": 400, "tokens_out": 4096, "cost": 5000, **fields,
    }  # fmt: skip


def lines(rows: Iterable[Any]) -> str:
    return "".join(json.dumps(item) + "\n" for item in rows)


@dataclass
class Ledger:
    """A folder with a log; each `read` is a process of its own."""

    folder: Path
    url: str = ""
    writer: str = "one"
    clock: StillClock = field(default_factory=StillClock)

    def __post_init__(self) -> None:
        self.url = self.url or f"sqlite://{self.folder / 'ledger.sqlite'}"
        self.log = self.folder / "access.log"
        self.events = self.folder / "events.jsonl"
        self.audit_log = self.folder / "audit.jsonl"
        self.registry = CollectorRegistry()

    def write(self, *rows: Any) -> None:
        self.append(lines(rows))

    def append(self, text: str | bytes) -> None:
        with self.log.open("ab") as file:
            file.write(text.encode() if isinstance(text, str) else text)

    def tell(self, *events: Any) -> None:
        with self.events.open("a") as file:
            file.write(lines(events))

    def tail(self, database: Database | None = None) -> Tail:
        self.registry = CollectorRegistry()
        return Tail(
            database or Database(self.url, changes=True),
            Sources(self.writer, self.log, self.events, self.folder / "head"),
            metrics=LedgerMetrics(self.registry), clock=self.clock, log=structlog.get_logger(),
        )  # fmt: skip

    def read(self) -> None:
        """A process that reads to the end, and ends."""
        database = Database(self.url, changes=True)
        tail = self.tail(database)
        tail.finish()
        tail.close()
        audit = self.audit_tail(database)
        while audit.step():
            pass
        audit.close()
        database.close()

    def audit(self, *events: AuditEvent) -> None:
        AuditFile(self.audit_log).append(*events)

    def audit_tail(self, database: Database) -> AuditTail:
        return AuditTail(
            database, self.writer, self.audit_log, self.folder / "audit.head",
            metrics=LedgerMetrics(CollectorRegistry()), clock=self.clock, log=structlog.get_logger(),
        )  # fmt: skip

    def clean_trail(self, seconds: float | None) -> bool:
        database = Database(self.url, changes=True)
        try:
            return self.audit_tail(database).clean(None if seconds is None else int(seconds))
        finally:
            database.close()

    def trail(self, asked: Asked = EVERYTHING) -> tuple[Told, ...]:
        return self.run(lambda db: trail(db, asked))

    def trail_verified(self, kept: Iterable[Any] = ()) -> Verified:
        return self.run(lambda db: verify_trail(db, kept))

    def run(self, work: Any, *, changes: bool = False) -> Any:
        database = Database(self.url, changes=changes)
        try:
            return database.run(work)
        finally:
            database.close()

    def rows(self) -> list[Any]:
        return self.run(lambda db: db.execute(select(ROWS).order_by(ROWS.c.writer, ROWS.c.seq)).all())

    def calls(self) -> Counter[str]:
        """How often each request id is there."""
        return Counter(item.request_id for item in self.rows() if item.kind == "call")

    def quarantined(self) -> list[Any]:
        return self.run(lambda db: db.execute(select(QUARANTINE)).all())

    def verified(self, kept: Iterable[Any] = ()) -> Verified:
        return self.run(lambda db: verify(db, kept))

    def sums(self, *by: str, **only: str) -> dict[tuple[Any, ...], Any]:
        return {line.parts: line.sums for line in self.run(lambda db: report(db, Question(by, only=only)))}


def as_of_the_first_version(db: Connection) -> None:
    """Takes away what the second version added."""
    for name in ADDED:
        db.execute(text(f"ALTER TABLE {ROWS.name} DROP COLUMN {name}"))
    for _, table in SPANS:
        kept = [column for column in table.c if column.name not in ("upstream", "tokens_reasoning")]
        found = [row._asdict() for row in db.execute(select(*kept))]
        table.drop(db)
        before = Table(
            table.name, MetaData(), *(Column(item.name, item.type, primary_key=item.primary_key) for item in kept)
        )
        Index(f"{table.name}_of_consumer", before.c.consumer, before.c.begin)
        before.create(db)
        if found:
            db.execute(before.insert(), found)
    db.execute(update(STATE).values(schema_version=1))
