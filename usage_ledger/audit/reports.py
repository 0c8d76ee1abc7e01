"""What the audit trail says, to who asks for some of it: the newest rows, in their order in time."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from usage_ledger.audit.entries import AuditEntry
from usage_ledger.tables import AUDIT, WRITERS


@dataclass(frozen=True)
class Asked:
    """Which rows: times in milliseconds, None for all; texts as they stand, `key.*` for all that begin so."""

    begin: int | None = None
    end: int | None = None
    actor: str = ""
    action: str = ""
    object: str = ""
    result: str = ""
    limit: int = 100


@dataclass(frozen=True)
class Told:
    """A row, and where it stands."""

    writer: str
    seq: int
    entry: AuditEntry


def trail(db: Connection, asked: Asked) -> tuple[Told, ...]:
    """The newest rows that are asked for, the oldest of them first."""
    columns = (WRITERS.c.name, AUDIT.c.seq, *(AUDIT.c[name] for name in AuditEntry._fields))
    found = select(*columns).join(WRITERS, WRITERS.c.id == AUDIT.c.writer).where(*_conditions(asked))
    newest = found.order_by(AUDIT.c.at.desc(), WRITERS.c.id.desc(), AUDIT.c.seq.desc()).limit(asked.limit)
    return tuple(Told(name, seq, AuditEntry(*rest)) for name, seq, *rest in reversed(db.execute(newest).all()))


def _conditions(asked: Asked) -> list[ColumnElement[bool]]:
    texts: dict[str, Any] = {
        name: wanted for name in ("actor", "action", "object", "result") if (wanted := getattr(asked, name))
    }
    found: list[ColumnElement[bool]] = [_is(name, wanted) for name, wanted in texts.items()]
    if asked.begin is not None:
        found.append(AUDIT.c.at >= asked.begin)
    if asked.end is not None:
        found.append(AUDIT.c.at < asked.end)
    return found


def _is(name: str, wanted: str) -> ColumnElement[bool]:
    column = AUDIT.c[name]
    return column.startswith(wanted[:-1], autoescape=True) if wanted.endswith("*") else column == wanted
