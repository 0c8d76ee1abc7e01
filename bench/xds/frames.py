"""HTTP/2 frames (RFC 9113, section 4.1) in the bytes of one direction, as far as to tell what carries messages."""

from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = 9
DATA = 0


class DataFrames:
    """Takes bytes as they come, gives how many of them were of messages, frame by frame."""

    def __init__(self, *, of_client: bool) -> None:
        self.of_client = of_client
        self._head = b""
        self._preface = len(PREFACE) if of_client else 0
        self._left = 0  # of the frame that has begun
        self._is_data = False

    def receive(self, data: bytes) -> int:
        """How many bytes of these belong to messages."""
        skipped = min(self._preface, len(data))
        self._preface -= skipped
        return sum(self._parts(data, skipped))

    def _parts(self, data: bytes, at: int) -> Iterator[int]:
        while at < len(data):
            if not self._left:
                more = data[at : at + HEAD - len(self._head)]
                self._head += more
                at += len(more)
                self._begin()
                continue
            part = min(self._left, len(data) - at)
            self._left -= part
            at += part
            if self._is_data:
                yield part

    def _begin(self) -> None:
        if len(self._head) == HEAD:
            self._left, self._is_data = int.from_bytes(self._head[:3], "big"), self._head[3] == DATA
            self._head = b""
