"""What was made once and need not be made again: for the last good configuration and for the last one tried, no more.

Whoever makes something looks here first. A key says all that the thing depends on: it is found again if it would be
made the same, so that what is kept decides how long the work takes and never what comes of it.
"""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Reused(Generic[K, V]):
    """Things by key; what neither the last good configuration nor the last one tried has used is forgotten."""

    def __init__(self) -> None:
        self._good: dict[K, V] = {}
        self._tried: dict[K, V] = {}
        self._used: dict[K, V] = {}

    def begin(self) -> None:
        """From here on, another configuration is at hand."""
        self._tried, self._used = self._used, {}

    def succeeded(self) -> None:
        """The configuration at hand is a good one."""
        self._good = self._tried = self._used

    def get(self, key: K) -> V | None:
        """What was made for this key; None where nothing was, or where it is forgotten."""
        if (found := self._used.get(key)) is not None:
            return found
        if (found := self._tried.get(key)) is None and (found := self._good.get(key)) is None:
            return None
        self._used[key] = found
        return found

    def __setitem__(self, key: K, value: V) -> None:
        self._used[key] = value
