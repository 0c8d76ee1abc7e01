"""A bounded memo by identity: for arguments that are large and never change, where comparing them would be the cost."""

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class IdentityMemo(Generic[T]):
    """The last `limit` results of a function by the very objects they were made of, which live as long as they do."""

    def __init__(self, compute: Callable[..., T], limit: int) -> None:
        self._compute = compute
        self._limit = limit
        self._lock = Lock()
        self._held: dict[tuple[int, ...], tuple[tuple[object, ...], T]] = {}

    def __call__(self, *arguments: object) -> T:
        key = tuple(map(id, arguments))
        with self._lock:
            held = self._held.pop(key, None)
            if held is None:
                held = (arguments, self._compute(*arguments))
            self._held[key] = held  # last again: what goes is what was not asked for longest
            if len(self._held) > self._limit:
                del self._held[next(iter(self._held))]
        return held[1]

    def __len__(self) -> int:
        return len(self._held)
