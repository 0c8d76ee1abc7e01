"""The audit trail as a file: who changed what, when and from where, one JSON object a line.

What an operator asks for is two lines of one id: that it begins, on the disk before anything is changed, and how it
ended. So nothing is changed without a trace, whenever a process is killed or a disk is full.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

from service_kit.api_keys import ID_PATTERN, PREFIX
from service_kit.appended import append
from service_kit.log import REDACTED

AUDIT_NAME: Final = "audit.jsonl"
# Who acts where nobody asked: the configuration's file, and the gateway itself.
FILE: Final = "file"
GATEWAY: Final = "gateway"

Facts = Mapping[str, Any]  # Any: JSON

# Characters; what is longer is cut, or told by its hash.
LONGEST_TEXT: Final = 512
LONGEST_FACTS: Final = 4_096
# Bytes at the end of a file in which acts may be that were never ended: those of one process, and few at once.
LOOKED_BACK: Final = 1 << 20


class Result(StrEnum):
    """How an act ended. What FAILED may have been done in part, what is UNKNOWN in whole or not at all."""

    BEGUN = "begun"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class By:
    """Who acts, and from where."""

    actor: str
    origin: str


@dataclass(frozen=True)
class AuditEvent:
    """An act; `at` in seconds since the epoch. `old` and `new` never hold what opens anything."""

    id: str
    at: float
    actor: str
    origin: str
    action: str
    object: str
    old: Facts | None = None
    new: Facts | None = None
    result: Result = Result.BEGUN
    why: str = ""


class AuditFile:
    """Lines are added by one thread at a time; other processes may add theirs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, *events: AuditEvent) -> None:
        """All of them, on the disk, or none; OSError where the disk does not take them."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        append(self.path, map(line, events))

    def unfinished(self) -> tuple[AuditEvent, ...]:
        """Acts that began and of which nobody said how they ended."""
        begun: dict[str, AuditEvent] = {}
        for event in self._last():
            if event.result is Result.BEGUN:
                begun[event.id] = event
            else:
                begun.pop(event.id, None)
        return tuple(replace(event, result=Result.UNKNOWN) for event in begun.values())

    def _last(self) -> Iterator[AuditEvent]:
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - LOOKED_BACK))
                found = file.read().split(b"\n")
        except FileNotFoundError:
            return
        for text in found:
            try:
                yield event_of(text)
            except ValueError:  # the first of them may be half a line, and so may one that a crash left
                continue


def line(event: AuditEvent) -> bytes:
    """The event as a line of the file."""
    return _ENCODER.encode(asdict(bounded(event))).encode() + b"\n"


def bounded(event: AuditEvent) -> AuditEvent:
    """The event as it may be told: short, and with nothing that opens anything."""
    return replace(
        event,
        actor=_cut(event.actor),
        origin=_cut(event.origin),
        object=_cut(event.object),
        why=_cut(event.why),
        old=_short(event.old),
        new=_short(event.new),
    )


def event_of(text: bytes) -> AuditEvent:
    """The event of a line; ValueError where it is none."""
    try:
        found = json.loads(text)
        event = AuditEvent(**{**found, "result": Result(found["result"]), "at": float(found["at"])})
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ValueError("not an event") from error
    texts = (event.id, event.actor, event.origin, event.action, event.object, event.why)
    facts = (event.old, event.new)
    if not all(isinstance(text, str) for text in texts) or not all(
        item is None or isinstance(item, dict) for item in facts
    ):
        raise ValueError("not an event")
    return event


# In ASCII: whatever is in a name, a line is a line.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), sort_keys=False, default=str)


# A key, whole or in part, that somebody wrote where an id is meant, and a token: what stands in them opens something.
_SECRETS: Final = re.compile(rf"({PREFIX}{ID_PATTERN}_)[0-9A-Za-z]+|eyJ[\w-]+\.[\w-]+(\.[\w-]*)?")


def _without_secrets(text: str) -> str:
    return _SECRETS.sub(lambda found: f"{found[1] or ''}{REDACTED}", text)


def _cut(text: str) -> str:
    # First: a name may be as long as a request, in which to look for tokens takes time by the square.
    told = _without_secrets(text[:LONGEST_FACTS])
    return told if len(told) <= LONGEST_TEXT else f"{told[: LONGEST_TEXT - 1]}…"


def _short(facts: Facts | None) -> Facts | None:
    if facts is None:
        return None
    text = _ENCODER.encode(facts)
    if len(text) <= LONGEST_FACTS:
        return cast("Facts", json.loads(_without_secrets(text)))  # an object that was one
    return {"characters": len(text), "sha256": sha256(text.encode()).hexdigest()}
