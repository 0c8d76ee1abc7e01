"""Memory for the requests that are being gathered, of all calls together: who finds none is to try elsewhere."""

from typing import Final

# Bytes: two of the largest bodies that a route may take.
ROOM: Final = 128 << 20


class Room:
    """So many bytes."""

    def __init__(self, size: int = ROOM) -> None:
        self._size = size
        self.taken = 0

    def take(self, number: int) -> bool:
        """Whether there was room for them; a single call always finds some."""
        if self.taken + number > self._size:
            return False
        self.taken += number
        return True

    def give_back(self, number: int) -> None:
        self.taken -= number
