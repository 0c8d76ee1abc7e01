"""Ollama's answers, read: a chat or a generation, whole or line by line, and embeddings."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from llm_providers.answers import BAD_GATEWAY, LENGTH, STOP, Failed, Piece, Reader, Said, ToolCall, Usage, Vectors
from llm_providers.json_text import json_string
from llm_providers.ollama.errors import stated_failure
from llm_providers.streams.ndjson import NdjsonDecoder
from llm_providers.wholes import WholeReader, count, object_of, objects_of, text_of, vector_of

NDJSON: Final = "application/x-ndjson"
WHOLE_TYPES: Final = frozenset({"application/json", ""})
Json = Mapping[str, object]


def chat_reader(media_type: str) -> Reader | None:
    return _reader(media_type, _chat)


def generate_reader(media_type: str) -> Reader | None:
    return _reader(media_type, _generated)


def embed_reader(media_type: str) -> Reader | None:
    return WholeReader(_vectors) if media_type in WHOLE_TYPES else None


def _reader(media_type: str, said: Callable[[Json], Piece]) -> Reader | None:
    if media_type == NDJSON:
        return LinesReader(said)
    return WholeReader(lambda answer: _whole(answer, said)) if media_type in WHOLE_TYPES else None


class LinesReader:
    """One object a line, up to the one that is done."""

    def __init__(self, said: Callable[[Json], Piece]) -> None:
        self._said = said
        self._objects = NdjsonDecoder()
        self.complete = False

    def feed(self, chunk: bytes) -> Iterator[Said]:
        return self._read(self._objects.feed(chunk))

    def end(self) -> Iterator[Said]:
        return self._read(self._objects.end())

    def _read(self, answers: Iterator[dict[str, object]]) -> Iterator[Said]:
        if self.complete:
            return
        for answer in answers:
            piece = _piece(answer, self._said)
            self.complete = answer.get("done") is True
            yield piece
            if self.complete:
                return


def _whole(answer: Json, said: Callable[[Json], Piece]) -> Piece:
    piece = _piece(answer, said)
    if not piece.finish:
        raise ValueError("it is not done")
    return piece


def _piece(answer: Json, said: Callable[[Json], Piece]) -> Piece:
    failure = stated_failure(answer, BAD_GATEWAY)
    if failure is not None:
        raise Failed(failure)
    piece = said(answer)
    if answer.get("done") is not True:
        return piece
    reason = text_of(answer.get("done_reason"), "done_reason")
    usage = Usage(count(answer.get("prompt_eval_count")), count(answer.get("eval_count")))
    return Piece(piece.text, piece.thinking, piece.calls, LENGTH if reason == LENGTH else STOP, usage)


def _chat(answer: Json) -> Piece:
    message = object_of(answer.get("message"), "message")
    calls = tuple(_call(call) for call in objects_of(message.get("tool_calls"), "tool_calls"))
    return Piece(text_of(message.get("content"), "content"), text_of(message.get("thinking"), "thinking"), calls)


def _generated(answer: Json) -> Piece:
    return Piece(text_of(answer.get("response"), "response"), text_of(answer.get("thinking"), "thinking"))


def _call(call: Json) -> ToolCall:
    function = object_of(call.get("function"), "function")
    name = text_of(function.get("name"), "name")
    if not name:
        raise ValueError("a call of a tool has no name")
    arguments = object_of(function.get("arguments"), "arguments")
    return ToolCall(name, json_string(arguments), text_of(call.get("id"), "id"))


def _vectors(answer: Json) -> Vectors:
    failure = stated_failure(answer, BAD_GATEWAY)
    if failure is not None:
        raise Failed(failure)
    rows = answer.get("embeddings")
    if not isinstance(rows, list) or not rows:
        raise ValueError("it holds no embeddings")
    return Vectors(tuple(vector_of(row) for row in rows), Usage(prompt=count(answer.get("prompt_eval_count"))))
