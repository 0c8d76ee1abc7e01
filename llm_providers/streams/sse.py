"""Server-sent events (WHATWG HTML, 9.2), as far as language models use them: `event` and `data`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from llm_providers.streams.lines import MAX_LINE, Lines, LineTooLong

BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Event:
    """One event; `name` is empty where the stream names none."""

    data: bytes
    name: str = ""


class SseDecoder:
    """Events as their blank line comes; ValueError for an event that is longer than the limit."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._lines = Lines(bare_cr=True, limit=limit + len(b"data: "))
        self._limit = limit
        self._first = True
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Event]:
        return self._events(self._lines.feed(chunk))

    def end(self) -> Iterator[Event]:
        """The event that no blank line ended: some servers close behind their last line."""
        yield from self._events(self._lines.end())
        yield from self._dispatched()

    def _events(self, lines: Iterator[bytes]) -> Iterator[Event]:
        for line in lines:
            content = line.removeprefix(BOM) if self._first else line
            self._first = False
            if content:
                self._take(content)
            else:
                yield from self._dispatched()

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._size += len(value) + 1
            if self._size > self._limit + 1:
                raise LineTooLong(self._limit)
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode(errors="replace")

    def _dispatched(self) -> Iterator[Event]:
        name, data = self._name, self._data
        self._name, self._data, self._size = "", [], 0
        if data:
            yield Event(b"\n".join(data), name)


def sse_event(data: bytes, name: str = "") -> bytes:
    """The event on the wire; the data holds no line end, as compact JSON does not."""
    named = f"event: {name}\n".encode() if name else b""
    return named + b"data: " + data + b"\n\n"
