"""How long to wait before a process is started again: arithmetic alone, no clock."""

from dataclasses import dataclass, replace

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
# A process that lived this long was well: its next exit starts over.
HEALTHY_AFTER = 10.0


@dataclass(frozen=True)
class Backoff:
    """The delay before the next start; doubles with each early exit."""

    delay: float = FIRST_DELAY

    def after_exit(self, alive: float) -> "Backoff":
        """The backoff whose delay to wait now, for a process that was alive for so many seconds."""
        return Backoff() if alive >= HEALTHY_AFTER else self

    def doubled(self) -> "Backoff":
        """The backoff of the exit after this one."""
        return replace(self, delay=min(self.delay * 2, LONGEST_DELAY))
