"""When a store is asked and when it is let rest: pure state, `now` is an argument.

A store that failed a few times in a row is asked no more for a moment: calls are answered at once instead of waiting
for it one after the other. Then one call at a time tries, and when some in a row were answered all are sent again.
"""

from enum import Enum
from typing import Final

# Failures in a row that open it, answers in a row that close it.
FEW: Final = 3
STEADY: Final = 3
# Seconds between two tries, and how long one that never came back keeps others from trying.
REST: Final = 0.5


class State(Enum):
    """How a store is used."""

    UP = "up"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """The state of one server."""

    def __init__(self) -> None:
        self.state = State.UP
        self._failures = 0
        self._answers = 0
        self._next_try = 0.0

    def admits(self, now: float) -> bool:
        """Whether the store is asked this; where it is half open, the one that tries is."""
        if self.state is State.UP:
            return True
        if now < self._next_try:
            return False
        self.state = State.HALF_OPEN
        self._next_try = now + REST
        return True

    def answered(self, now: float) -> None:
        self._failures = 0
        if self.state is not State.HALF_OPEN:  # an answer to what was asked before it opened says nothing new
            return
        self._answers += 1
        self._next_try = now
        if self._answers >= STEADY:
            self.state = State.UP

    def failed(self, now: float) -> None:
        self._answers = 0
        self._failures += 1
        if self.state is State.HALF_OPEN or self._failures >= FEW:
            self.state = State.OPEN
            self._next_try = now + REST
