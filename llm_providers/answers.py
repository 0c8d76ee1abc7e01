"""What a model answers, in nobody's dialect: readers make these values, writers write them.

A whole answer and a piece of a stream are the same thing, so any reader goes with any writer.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

STOP: Final = "stop"
LENGTH: Final = "length"
TOOL_CALLS: Final = "tool_calls"
BAD_GATEWAY: Final = 502


@dataclass(frozen=True)
class Usage:
    """Tokens read and written, as the upstream counted them."""

    prompt: int = 0
    completion: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.completion


@dataclass(frozen=True)
class ToolCall:
    """A whole call of a tool; `arguments` is the text of a JSON object, `id` is empty where the vendor gives none."""

    name: str
    arguments: str
    id: str = ""


@dataclass(frozen=True)
class Piece:
    """Some of an answer, or all of it. `finish` is in OpenAI's words, and empty as long as the answer goes on."""

    text: str = ""
    thinking: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    usage: Usage | None = None

    @property
    def says(self) -> bool:
        return bool(self.text or self.thinking or self.calls)


@dataclass(frozen=True)
class Vectors:
    """Embeddings, one for each text, in the order of the texts."""

    vectors: tuple[tuple[float, ...], ...]
    usage: Usage = Usage()


@dataclass(frozen=True)
class Failure:
    """An error: the upstream's own, or that it said nonsense. `kind` and `code` are in OpenAI's words, or empty.

    `request_id` is the gateway's id of the call.
    """

    message: str
    status: int = BAD_GATEWAY
    kind: str = ""
    param: str = ""
    code: str = ""
    request_id: str = ""


Said = Piece | Vectors


class Failed(Exception):  # noqa: N818 - not a fault of ours: the upstream says that it failed
    """Raised by a reader where an answer turns out to be an error."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Reader(Protocol):
    """Reads an upstream's answer. Both methods may raise ValueError for nonsense, and Failed."""

    @property
    def complete(self) -> bool:
        """Whether the answer has come to its end; asked after each value, and behind `end`."""

    def feed(self, chunk: bytes) -> Iterator[Said]: ...

    def end(self) -> Iterator[Said]: ...


class Writer(Protocol):
    """Writes an answer in the client's dialect. `write` and `close` may raise ValueError for what cannot be said."""

    @property
    def content_type(self) -> str: ...

    @property
    def streams(self) -> bool:
        """Whether something can be said before the end."""

    def write(self, said: Said) -> bytes: ...

    def close(self) -> bytes: ...

    def failure(self, failure: Failure) -> bytes:
        """What ends an answer that has begun; for a whole one, all of it."""


def piece_of(said: Said) -> Piece:
    if not isinstance(said, Piece):
        raise TypeError("text was asked for")
    return said


def vectors_of(said: Said) -> Vectors:
    if not isinstance(said, Vectors):
        raise TypeError("embeddings were asked for")
    return said


def joined(pieces: Iterable[Piece]) -> Piece:
    """The whole answer of which these are the pieces, in order."""
    all_pieces = tuple(pieces)
    return Piece(
        text="".join(piece.text for piece in all_pieces),
        thinking="".join(piece.thinking for piece in all_pieces),
        calls=tuple(call for piece in all_pieces for call in piece.calls),
        finish=next((piece.finish for piece in reversed(all_pieces) if piece.finish), ""),
        usage=next((piece.usage for piece in reversed(all_pieces) if piece.usage), None),
    )
