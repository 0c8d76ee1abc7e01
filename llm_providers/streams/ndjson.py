"""Newline-delimited JSON: one object a line, as Ollama streams."""

from collections.abc import Iterator, Mapping

from llm_providers.json_text import json_bytes, read_object
from llm_providers.streams.lines import MAX_LINE, Lines


class NdjsonDecoder:
    """Objects as their lines end; ValueError for a line that is none. Blank lines are passed over."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._lines = Lines(bare_cr=False, limit=limit)

    def feed(self, chunk: bytes) -> Iterator[dict[str, object]]:
        return _objects(self._lines.feed(chunk))

    def end(self) -> Iterator[dict[str, object]]:
        """The object of a last line that has no end."""
        return _objects(self._lines.end())


def ndjson_line(value: Mapping[str, object]) -> bytes:
    return json_bytes(value) + b"\n"


def _objects(lines: Iterator[bytes]) -> Iterator[dict[str, object]]:
    return (read_object(line) for line in lines if line.strip())
