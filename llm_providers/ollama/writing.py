"""Answers as Ollama writes them: a chat or a generation, whole or line by line, and embeddings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from llm_providers.answers import (
    STOP,
    TOOL_CALLS,
    Failure,
    Piece,
    Said,
    ToolCall,
    Usage,
    Vectors,
    joined,
    piece_of,
    vectors_of,
)
from llm_providers.json_text import json_bytes, read_object
from llm_providers.ollama.errors import error_body
from llm_providers.ollama.reading import NDJSON
from llm_providers.streams.ndjson import ndjson_line
from service_kit.clock import Clock

WHOLE: Final = "application/json"
NANOSECONDS: Final = 10**9
Json = Mapping[str, object]
# Puts what is said where the endpoint has it; the number is that of the calls made before.
Place = Callable[[Piece, int], Json]


def as_message(piece: Piece, calls_before: int = 0) -> Json:
    """`message` of /api/chat."""
    message: dict[str, object] = {"role": "assistant", "content": piece.text}
    if piece.thinking:
        message["thinking"] = piece.thinking
    if piece.calls:
        message["tool_calls"] = [_call(call, calls_before + index) for index, call in enumerate(piece.calls)]
    return {"message": message}


def as_response(piece: Piece, _calls_before: int = 0) -> Json:
    """`response` of /api/generate, which knows no tools."""
    return {"response": piece.text, **({"thinking": piece.thinking} if piece.thinking else {})}


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def loaded(model: str, place: Place, reason: str, clock: Clock) -> bytes:
    """The answer to a request that asks for nothing but a model that is loaded, or unloaded."""
    return json_bytes({**_head(model, clock), **place(Piece(), 0), "done": True, "done_reason": reason})


@dataclass
class Watch:
    """How long the answer took: what Ollama tells in nanoseconds."""

    clock: Clock
    begun: float
    first: float | None = None

    def saw(self) -> None:
        """Something of the answer is there."""
        if self.first is None:
            self.first = self.clock.monotonic()

    def durations(self, usage: Usage) -> Json:
        """The times and counts of a last line; the first token is when the prompt had been read."""
        now = self.clock.monotonic()
        first = now if self.first is None else self.first
        return {
            "total_duration": _nanoseconds(now - self.begun),
            "load_duration": 0,
            "prompt_eval_count": usage.prompt,
            "prompt_eval_duration": _nanoseconds(first - self.begun),
            "eval_count": usage.completion,
            "eval_duration": _nanoseconds(now - first),
        }


def watch(clock: Clock) -> Watch:
    return Watch(clock, clock.monotonic())


class LinesWriter:
    """A line for each piece, and a last one with the counts."""

    content_type = NDJSON
    streams = True

    def __init__(self, model: str, place: Place, timed: Watch) -> None:
        self._model = model
        self._place = place
        self._watch = timed
        self._calls = 0
        self._finish = ""
        self._usage: Usage | None = None

    def write(self, said: Said) -> bytes:
        piece = piece_of(said)
        self._finish = piece.finish or self._finish
        self._usage = piece.usage or self._usage
        if not piece.says:
            return b""
        self._watch.saw()
        before, self._calls = self._calls, self._calls + len(piece.calls)
        head = _head(self._model, self._watch.clock)
        return ndjson_line({**head, **self._place(piece, before), "done": False})

    def close(self) -> bytes:
        return ndjson_line(_last(self._model, self._place, Piece(finish=self._finish, usage=self._usage), self._watch))

    def failure(self, failure: Failure) -> bytes:
        return error_body(failure) + b"\n"


@dataclass
class WholeWriter:
    """One object at the end."""

    model: str
    place: Place
    timed: Watch
    content_type: str = WHOLE
    streams: bool = False
    pieces: list[Piece] = field(default_factory=list)

    def write(self, said: Said) -> bytes:
        self.timed.saw()
        self.pieces.append(piece_of(said))
        return b""

    def close(self) -> bytes:
        return json_bytes(_last(self.model, self.place, joined(self.pieces), self.timed))

    def failure(self, failure: Failure) -> bytes:
        return error_body(failure)


@dataclass
class EmbedWriter:
    """Vectors as /api/embed has them, or the one of /api/embeddings."""

    model: str
    timed: Watch
    legacy: bool
    content_type: str = WHOLE
    streams: bool = False
    body: bytes = b""

    def write(self, said: Said) -> bytes:
        found = vectors_of(said)
        self.body = json_bytes({"embedding": found.vectors[0]} if self.legacy else self._all(found))
        return b""

    def close(self) -> bytes:
        return self.body

    def failure(self, failure: Failure) -> bytes:
        return error_body(failure)

    def _all(self, said: Vectors) -> Json:
        return {
            "model": self.model,
            "embeddings": said.vectors,
            "total_duration": _nanoseconds(self.timed.clock.monotonic() - self.timed.begun),
            "load_duration": 0,
            "prompt_eval_count": said.usage.prompt,
        }


def _last(model: str, place: Place, piece: Piece, timed: Watch) -> Json:
    """An object that is done; Ollama has no word of its own for an answer that calls tools."""
    reason = STOP if piece.finish in ("", TOOL_CALLS, "function_call") else piece.finish
    durations = timed.durations(piece.usage or Usage())
    return {**_head(model, timed.clock), **place(piece, 0), "done": True, "done_reason": reason, **durations}


def _head(model: str, clock: Clock) -> Json:
    return {"model": model, "created_at": rfc3339(clock.now())}


def _call(call: ToolCall, index: int) -> Json:
    named = {"id": call.id} if call.id else {}
    return {**named, "function": {"index": index, "name": call.name, "arguments": read_object(call.arguments)}}


def _nanoseconds(seconds: float) -> int:
    return max(0, round(seconds * NANOSECONDS))
