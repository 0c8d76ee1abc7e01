"""Answers in OpenAI's format, written: chats and completions, whole and streamed, and embeddings."""

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from llm_providers.answers import (
    STOP,
    TOOL_CALLS,
    Failure,
    Piece,
    Said,
    ToolCall,
    Usage,
    joined,
    piece_of,
    vectors_of,
)
from llm_providers.json_text import json_bytes
from llm_providers.openai.errors import error_body
from llm_providers.openai.reading import DONE, EVENT_STREAM
from llm_providers.streams.sse import sse_event

Json = Mapping[str, object]
WHOLE: Final = "application/json"


@dataclass(frozen=True)
class Stamp:
    """What stands on every object of one answer."""

    id: str
    model: str
    created: int


class Shape(Protocol):
    """Where an endpoint's answers have what is said."""

    whole_object: str
    chunk_object: str
    id_prefix: str
    opens_with_role: bool

    def choice(self, piece: Piece, calls: Sequence[Json]) -> Json: ...

    def delta(self, piece: Piece, calls: Sequence[Json]) -> Json: ...


class ChatShape:
    """/v1/chat/completions."""

    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"
    id_prefix = "chatcmpl-"
    opens_with_role = True

    def choice(self, piece: Piece, calls: Sequence[Json]) -> Json:
        message: dict[str, object] = {"role": "assistant", "content": piece.text or (None if calls else "")}
        if piece.thinking:
            message["reasoning_content"] = piece.thinking
        if calls:
            message["tool_calls"] = calls
        return {"message": {**message, "refusal": None}}

    def delta(self, piece: Piece, calls: Sequence[Json]) -> Json:
        delta: dict[str, object] = {}
        if piece.thinking:
            delta["reasoning_content"] = piece.thinking
        if piece.text:
            delta["content"] = piece.text
        if calls:
            delta["tool_calls"] = calls
        return {"delta": delta}


class CompletionShape:
    """/v1/completions, which knows neither tools nor thinking."""

    whole_object = "text_completion"
    chunk_object = "text_completion"
    id_prefix = "cmpl-"
    opens_with_role = False

    def choice(self, piece: Piece, calls: Sequence[Json]) -> Json:  # noqa: ARG002 - there is no place for calls
        return {"text": piece.text}

    def delta(self, piece: Piece, calls: Sequence[Json]) -> Json:
        return self.choice(piece, calls)


CHAT: Final = ChatShape()
COMPLETION: Final = CompletionShape()


@dataclass
class _CallIds:
    """Ids for calls that have none, counted through the answer."""

    call_id: str
    given: int = 0

    def called(self, calls: tuple[ToolCall, ...]) -> list[Json]:
        return [self._call(call) for call in calls]

    def _call(self, call: ToolCall) -> Json:
        call_id = call.id or f"call_{self.call_id}_{self.given}"
        self.given += 1
        return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


@dataclass
class WholeWriter:
    """One object at the end."""

    shape: Shape
    stamp: Stamp
    content_type: str = WHOLE
    streams: bool = False
    pieces: list[Piece] = field(default_factory=list)

    def write(self, said: Said) -> bytes:
        self.pieces.append(piece_of(said))
        return b""

    def close(self) -> bytes:
        answer = joined(self.pieces)
        calls = _CallIds(self.stamp.id).called(answer.calls)
        choice = {
            "index": 0,
            **self.shape.choice(answer, calls),
            "logprobs": None,
            "finish_reason": _finish(answer.finish, called=bool(calls)),
        }
        head = _head(self.stamp, self.shape, self.shape.whole_object)
        return json_bytes({**head, "choices": [choice], "usage": _usage(answer.usage)})

    def failure(self, failure: Failure) -> bytes:
        return error_body(failure)


class StreamWriter:
    """Chunks: the role first, then what is said, the finish, the usage where it was asked for, and [DONE]."""

    content_type = EVENT_STREAM
    streams = True

    def __init__(self, shape: Shape, stamp: Stamp, *, with_usage: bool) -> None:
        self._shape = shape
        self._stamp = stamp
        self._with_usage = with_usage
        self._call_ids = _CallIds(stamp.id)
        self._begun = not shape.opens_with_role
        self._finish = ""
        self._usage: Usage | None = None

    def write(self, said: Said) -> bytes:
        piece = piece_of(said)
        self._finish = piece.finish or self._finish
        self._usage = piece.usage or self._usage
        if not piece.says:
            return b""
        first = self._call_ids.given
        calls = [{"index": first + at, **call} for at, call in enumerate(self._call_ids.called(piece.calls))]
        return self._opening() + self._chunk(self._shape.delta(piece, calls), None)

    def close(self) -> bytes:
        finish = _finish(self._finish, called=self._call_ids.given > 0)
        usage = self._event([], {"usage": _usage(self._usage)}) if self._with_usage else b""
        return self._opening() + self._chunk(self._shape.delta(Piece(), []), finish) + usage + sse_event(DONE)

    def failure(self, failure: Failure) -> bytes:
        return sse_event(error_body(failure))

    def _opening(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._chunk({"delta": {"role": "assistant", "content": ""}}, None)

    def _chunk(self, said: Json, finish: str | None) -> bytes:
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": finish}
        return self._event([choice], {"usage": None} if self._with_usage else {})

    def _event(self, choices: Sequence[Json], usage: Json) -> bytes:
        head = _head(self._stamp, self._shape, self._shape.chunk_object)
        return sse_event(json_bytes({**head, "choices": choices, **usage}))


@dataclass
class EmbeddingsWriter:
    """Vectors as lists of numbers or, as OpenAI's own client asks for them, as base64 of little-endian float32."""

    model: str
    base64: bool
    content_type: str = WHOLE
    streams: bool = False
    body: bytes = b""

    def write(self, said: Said) -> bytes:
        found = vectors_of(said)
        rows = [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if self.base64 else list(vector)}
            for index, vector in enumerate(found.vectors)
        ]
        usage = {"prompt_tokens": found.usage.prompt, "total_tokens": found.usage.prompt}
        self.body = json_bytes({"object": "list", "data": rows, "model": self.model, "usage": usage})
        return b""

    def close(self) -> bytes:
        return self.body

    def failure(self, failure: Failure) -> bytes:
        return error_body(failure)


def _packed(vector: tuple[float, ...]) -> str:
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except (OverflowError, struct.error) as error:
        raise ValueError("an embedding's number is out of range") from error


def _head(stamp: Stamp, shape: Shape, kind: str) -> Json:
    return {"id": f"{shape.id_prefix}{stamp.id}", "object": kind, "created": stamp.created, "model": stamp.model}


def _finish(finish: str, *, called: bool) -> str:
    return TOOL_CALLS if called and finish in ("", STOP) else finish or STOP


def _usage(usage: Usage | None) -> Json:
    counted = usage or Usage()
    return {
        "prompt_tokens": counted.prompt,
        "completion_tokens": counted.completion,
        "total_tokens": counted.total,
    }
