"""Tokens whose signature was verified under the current policy, so that it is verified once and not per request.

The key is the SHA-256 of the whole token. An entry dies with the token, after five minutes, when the clock is set back
behind its making, or with the policy: a new policy comes with a new, empty store.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from authz_service.identity import Grant

CAPACITY: Final = 10_000
LONGEST: Final = 300.0


@dataclass(frozen=True, slots=True)
class _Entry:
    grant: Grant
    since: float
    until: float


class VerifiedTokens:
    """At most `capacity` grants, the least recently used going first; `looked_up` hears "hit" or "miss"."""

    def __init__(self, looked_up: Callable[[str], None], *, capacity: int = CAPACITY) -> None:
        self._looked_up = looked_up
        self._capacity = capacity
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, token: bytes, now: float) -> Grant | None:
        """What the token grants, where that was verified and still holds."""
        key = _digest(token)
        entry = self._entries.get(key)
        if entry is None or not entry.since <= now < entry.until:
            self._entries.pop(key, None)
            self._looked_up("miss")
            return None
        self._entries.move_to_end(key)
        self._looked_up("hit")
        return entry.grant

    def keep(self, token: bytes, grant: Grant, *, now: float, expires: float) -> None:
        """Remembers a verified token until it expires, or for five minutes."""
        self._entries[_digest(token)] = _Entry(grant, now, min(expires, now + LONGEST))
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
