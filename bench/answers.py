"""Reads HTTP/1.1 answers from bytes as they come; knows no socket. One request at a time, so one answer at a time."""

import re
from dataclasses import dataclass

HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Unreadable(ValueError):  # noqa: N818 - what the bytes are
    """The bytes are no answer of known length."""


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes


class AnswerReader:
    """Takes bytes, gives the answer when it is whole."""

    def __init__(self) -> None:
        self._data = b""

    def receive(self, data: bytes) -> Answer | None:
        """The answer that these bytes complete."""
        self._data += data
        head, end, body = self._data.partition(HEAD_END)
        if not end:
            return None
        status, length = _STATUS.match(head), _LENGTH.search(head + b"\r\n")
        if status is None or length is None:
            raise Unreadable(f"no answer with a length: {head[:200]!r}")
        if len(body) < int(length[1]):
            return None
        self._data = b""
        return Answer(int(status[1]), body)
