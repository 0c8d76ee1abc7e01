"""Reads the bodies of HTTP/1.1 messages as they come, counted or in chunks; knows no socket. One message at a time."""

import re

from bench.answers import HEAD_END, Unreadable

LINE_END = b"\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class MessageReader:
    """Takes bytes, gives those of the body that can be told by now."""

    def __init__(self) -> None:
        self.head = b""
        self.whole = False
        self._data = b""
        # Bytes of the body that are still to come; of a body in chunks nobody knows.
        self._left: int | None = None

    @property
    def status(self) -> int:
        """Of an answer whose head is here."""
        found = _STATUS.match(self.head)
        if found is None:
            raise Unreadable(f"no answer: {self.head[:200]!r}")
        return int(found[1])

    def receive(self, data: bytes) -> bytes:
        """More of the body; `whole` tells whether it was the last."""
        self._data += data
        if not self.head and not self._begins():
            return b""
        return self._chunks() if self._left is None else self._counted(self._left)

    def _begins(self) -> bool:
        head, end, rest = self._data.partition(HEAD_END)
        if not end:
            return False
        self.head, self._data = head + LINE_END, rest
        if _CHUNKED.search(self.head) is None:
            length = _LENGTH.search(self.head)
            if length is None and self.head.startswith(b"HTTP/"):
                raise Unreadable(f"an answer without a length: {self.head[:200]!r}")
            self._left = 0 if length is None else int(length[1])
        return True

    def _counted(self, left: int) -> bytes:
        body, self._data = self._data[:left], self._data[left:]
        self._left = left - len(body)
        self.whole = self._left == 0
        return body

    def _chunks(self) -> bytes:
        """Whole chunks; the rest waits. Nobody here sends trailers."""
        pieces, at = [], 0
        while not self.whole and (end := self._data.find(LINE_END, at)) >= 0:
            start = end + len(LINE_END)
            stop = start + int(self._data[at:end], 16)
            if len(self._data) < stop + len(LINE_END):
                break
            pieces.append(self._data[start:stop])
            self.whole = start == stop
            at = stop + len(LINE_END)
        self._data = self._data[at:]
        return b"".join(pieces)
