"""The only module that reads a clock; everything else takes a `Clock`, so that a test can hold time still."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Wall time in seconds since the epoch, and a monotonic time in seconds for durations."""

    def now(self) -> float: ...

    def monotonic(self) -> float: ...


@dataclass(frozen=True)
class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        return time.time()  # noqa: TID251 - this module is the clock's home

    def monotonic(self) -> float:
        return time.monotonic()  # noqa: TID251 - this module is the clock's home
