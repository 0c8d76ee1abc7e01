"""Bytes into lines of bounded length, wherever the bytes were split."""

from collections.abc import Iterator
from typing import Final

MAX_LINE: Final = 1 << 20


class LineTooLong(ValueError):  # noqa: N818 - named for what is wrong with the stream
    """A line that is longer than anyone may make us keep."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"a line of more than {limit} bytes")


class Lines:
    """Lines that end in LF; with `bare_cr` also those that end in CR or CR LF, as server-sent events have them."""

    def __init__(self, *, bare_cr: bool, limit: int = MAX_LINE) -> None:
        self._bare_cr = bare_cr
        self._limit = limit
        self._kept = bytearray()
        self._after_cr = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that end in this chunk, without their ends; consume them all before the next chunk."""
        for line in self._split(chunk):
            self._keep(line[:-1] if line[-1:] in (b"\n", b"\r") else line)
            if line[-1:] in (b"\n", b"\r"):
                yield self._taken()

    def end(self) -> Iterator[bytes]:
        """What is left when no more bytes come, if anything is."""
        if self._kept:
            yield self._taken()

    def _split(self, chunk: bytes) -> Iterator[bytes]:
        if not self._bare_cr:
            yield from (line + b"\n" for line in chunk.split(b"\n")[:-1])
            yield chunk[chunk.rfind(b"\n") + 1 :]
            return
        if self._after_cr and chunk[:1] == b"\n":  # the other half of a CR LF
            chunk = chunk[1:]
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        # bytes.splitlines knows LF, CR and CR LF, and nothing else
        yield from (line[:-2] + b"\n" if line.endswith(b"\r\n") else line for line in chunk.splitlines(keepends=True))

    def _keep(self, part: bytes) -> None:
        if len(self._kept) + len(part) > self._limit:
            raise LineTooLong(self._limit)
        self._kept += part

    def _taken(self) -> bytes:
        line = bytes(self._kept)
        self._kept.clear()
        return line
