"""A trail in a folder, or in memory, and what is in it."""

import os
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from control_plane.audit import Trail
from service_kit.audit import AUDIT_NAME, AuditEvent, AuditFile, Result, event_of
from service_kit.clock import Clock
from tests.support.clock import StillClock


class Kept(AuditFile):
    """Stands where the disk does; full, where a test says so."""

    def __init__(self) -> None:
        super().__init__(Path("kept"))
        self.events: list[AuditEvent] = []
        self.full = False

    def append(self, *events: AuditEvent) -> None:
        if self.full:
            raise OSError(28, os.strerror(28))
        self.events += events

    @property
    def ended(self) -> list[AuditEvent]:
        """How acts ended."""
        return [event for event in self.events if event.result is not Result.BEGUN]


def audit_trail(
    file: AuditFile | None = None, clock: Clock | None = None, registry: CollectorRegistry | None = None
) -> Trail:
    return Trail(
        file or Kept(),
        clock=clock or StillClock(),
        log=structlog.get_logger(),
        registry=registry or CollectorRegistry(),
        random_bytes=os.urandom,
    )


def in_folder(folder: Path, *, begun: bool = False) -> list[AuditEvent]:
    """How acts ended that a file in a folder tells of; or that they began."""
    file = folder / AUDIT_NAME
    events = [event_of(text) for text in file.read_bytes().splitlines()] if file.exists() else []
    return [event for event in events if (event.result is Result.BEGUN) is begun]
