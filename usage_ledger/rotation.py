"""Keeps Envoy's log small where nobody else does, as in containers: what is read goes, and nothing else.

The log is renamed and Envoy asked to open it again; a renamed file is deleted when it was read to its end and Envoy has
left it. A database that takes no rows makes the log grow, and no row is lost for it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from service_kit.clock import Clock
from service_kit.endpoint import UnixEndpoint
from service_kit.log import Logger

# Some 100,000 requests.
LARGEST: Final = 64 << 20
LONGEST_WAIT: Final = 3.0
# Seconds for which nobody may have written a renamed file before it is deleted.
SILENCE: Final = 60.0


@dataclass
class Rotation:
    """One log, and the Envoy that writes it; used by one thread."""

    path: Path
    admin: UnixEndpoint
    clock: Clock
    log: Logger
    largest: int = LARGEST
    # Envoy may still write a renamed file: so it may be at the start, when nobody knows what was asked.
    _owed: bool = field(default=True, init=False)

    def rename(self) -> None:
        """Begins another file where this one has grown, and has Envoy open it."""
        try:
            if not self._owed and self.path.stat().st_size > self.largest:
                self.path.rename(self.path.with_name(f"{self.path.name}.{round(self.clock.now() * 1000)}"))
                self._owed = True
            if self._owed:
                # Envoy closes its file before it opens the next: on a full disk this fails first.
                self.path.touch(0o600)
                self._owed = not self._reopened()
        except OSError as error:
            self.log.warning("log not rotated", reason=str(error))

    def delete(self, read: tuple[Path, ...]) -> None:
        """Deletes files that were read to their end."""
        if self._owed:
            return
        for file in read:
            try:
                if self.clock.now() - file.stat().st_mtime >= SILENCE:
                    file.unlink()
            except OSError as error:
                self.log.warning("log not deleted", reason=str(error))

    def _reopened(self) -> bool:
        if not self.admin.path.exists():  # Envoy is not there yet
            return False
        transport = httpx.HTTPTransport(uds=str(self.admin.path))
        try:
            with httpx.Client(transport=transport, base_url="http://envoy", timeout=LONGEST_WAIT) as envoy:
                envoy.post("/reopen_logs").raise_for_status()
        except httpx.HTTPError as error:
            self.log.debug("Envoy does not reopen its log", reason=str(error))
            return False
        return True
