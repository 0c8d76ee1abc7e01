"""What a line of the audit trail says, as a row; that something began is no row, how it ended is."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from service_kit.audit import Result, event_of
from usage_ledger.entries import BadLine
from usage_ledger.values import LARGEST_NUMBER

LONGEST_ID: Final = 128
# Longer than the control plane writes it.
LONGEST_TEXT: Final = 8_192


class AuditEntry(NamedTuple):
    """A row but for its place in the chain; `at` in milliseconds, `old` and `new` JSON or null."""

    id: str
    at: int
    actor: str
    origin: str
    action: str
    object: str
    old: str | None
    new: str | None
    result: str
    why: str


def entry_of_line(line: bytes) -> AuditEntry | BadLine | None:
    """What a line says; None where it is that something began."""
    try:
        event = event_of(line)
        if event.result is Result.BEGUN:
            return None
        at = round(event.at * 1000)
        if not 0 <= at < LARGEST_NUMBER or not 0 < len(event.id) <= LONGEST_ID:
            return BadLine("no event of ours", line)
        return AuditEntry(
            id=_text(event.id),
            at=at,
            actor=_text(event.actor),
            origin=_text(event.origin),
            action=_text(event.action),
            object=_text(event.object),
            old=_json(event.old),
            new=_json(event.new),
            result=event.result.value,
            why=_text(event.why),
        )
    except (ValueError, TypeError, OverflowError, RecursionError):
        return BadLine("no event", line)


def _text(text: str) -> str:
    """PostgreSQL keeps no NUL, and no database half of a surrogate pair."""
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _json(facts: Mapping[str, Any] | None) -> str | None:  # Any: JSON
    if facts is None:
        return None
    text = json.dumps(facts, separators=(",", ":"))
    if len(text) > LONGEST_TEXT:
        raise ValueError(text)
    return text
