"""A clock that stands still until a test moves it."""

from dataclasses import dataclass


@dataclass
class StillClock:
    """Wall and monotonic time are the same number of seconds."""

    seconds: float = 1_700_000_000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
