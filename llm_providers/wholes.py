"""Readers of answers that come in one JSON object."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from llm_providers.answers import Said
from llm_providers.json_text import read_object

MAX_COUNT: Final = 1 << 53


class WholeReader:
    """Keeps the body until its end, then reads it with the function given."""

    def __init__(self, read: Callable[[Mapping[str, object]], Said]) -> None:
        self._read = read
        self._body = bytearray()
        self.complete = False

    def feed(self, chunk: bytes) -> Iterator[Said]:
        self._body += chunk
        return iter(())

    def end(self) -> Iterator[Said]:
        said = self._read(read_object(bytes(self._body)))
        self.complete = True
        yield said


def count(value: object) -> int:
    """A count of tokens; nought for what can be none."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_COUNT
    return int(value) if is_count else 0  # type: ignore[call-overload]  # is_count says that it is an int


def text_of(value: object, what: str) -> str:
    """The text, which may be missing."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{what} is no text")  # noqa: TRY004 - the upstream's value is wrong, not an argument's type
    return value


def object_of(value: object, what: str) -> Mapping[str, object]:
    """The object, which may be missing."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no object")  # noqa: TRY004 - as above
    return value


def objects_of(value: object, what: str) -> list[Mapping[str, object]]:
    """The objects of a list, which may be missing."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{what} is no list")  # noqa: TRY004 - as above
    return [object_of(item, what) for item in value]


def vector_of(value: object) -> tuple[float, ...]:
    if not isinstance(value, list) or not all(type(number) in (int, float) for number in value):
        raise ValueError("an embedding is no list of numbers")
    return tuple(value)
