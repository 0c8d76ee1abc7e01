"""Answers in OpenAI's format, read: chats and completions, whole and streamed, and embeddings."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from llm_providers.answers import BAD_GATEWAY, Failed, Piece, Reader, Said, ToolCall, Usage, Vectors
from llm_providers.json_text import json_string, read_object
from llm_providers.openai.errors import stated_failure
from llm_providers.streams.lines import MAX_LINE
from llm_providers.streams.sse import SseDecoder
from llm_providers.wholes import WholeReader, count, object_of, objects_of, text_of, vector_of

DONE: Final = b"[DONE]"
EVENT_STREAM: Final = "text/event-stream"
WHOLE_TYPES: Final = frozenset({"application/json", ""})
Json = Mapping[str, object]
Readers = Callable[[str], Reader | None]


def chat_reader(media_type: str) -> Reader | None:
    if media_type == EVENT_STREAM:
        return StreamReader(_delta)
    return WholeReader(_whole_chat) if media_type in WHOLE_TYPES else None


def completion_reader(media_type: str) -> Reader | None:
    if media_type == EVENT_STREAM:
        return StreamReader(_text)
    return WholeReader(_whole_completion) if media_type in WHOLE_TYPES else None


def embeddings_reader(media_type: str) -> Reader | None:
    return WholeReader(_vectors) if media_type in WHOLE_TYPES else None


@dataclass
class _Fragments:
    """One call of a tool as it comes together."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class _Calls:
    """Calls of tools whose arguments come in fragments; each belongs to the call of its index."""

    def __init__(self) -> None:
        self._calls: dict[int, _Fragments] = {}
        self._size = 0

    def take(self, delta: Json) -> None:
        for position, fragment in enumerate(objects_of(delta.get("tool_calls"), "tool_calls")):
            index = fragment.get("index", position)  # some servers leave the index out
            call = self._calls.setdefault(count(index), _Fragments())
            function = object_of(fragment.get("function"), "function")
            call.id = call.id or text_of(fragment.get("id"), "id")
            call.name = call.name or text_of(function.get("name"), "name")
            self._add(call, text_of(function.get("arguments"), "arguments"))

    def complete(self) -> tuple[ToolCall, ...]:
        calls = [self._calls[index] for index in sorted(self._calls)]
        self._calls = {}
        return tuple(tool_call(call.id, call.name, "".join(call.arguments)) for call in calls)

    def _add(self, call: _Fragments, arguments: str) -> None:
        self._size += len(arguments) + 1
        if self._size > MAX_LINE:
            raise ValueError("a call of a tool is too long")
        call.arguments.append(arguments)


class StreamReader:
    """A stream of chunks. Calls of tools are told when they are whole: at the finish."""

    def __init__(self, said: Callable[[Json], tuple[Piece, Json]]) -> None:
        self._said = said
        self._events = SseDecoder()
        self._calls = _Calls()
        self._finished = False
        self.complete = False

    def feed(self, chunk: bytes) -> Iterator[Said]:
        return self._read(event.data for event in self._events.feed(chunk))

    def end(self) -> Iterator[Said]:
        yield from self._read(event.data for event in self._events.end())
        # there are servers that send no [DONE]
        self.complete = self.complete or self._finished

    def _read(self, events: Iterator[bytes]) -> Iterator[Said]:
        for data in events:
            if self.complete:
                return
            if data.strip() == DONE:
                self.complete = self._finished
                if not self.complete:
                    raise ValueError("it ended without a finish")
                return
            piece = self._piece(read_object(data))
            if piece != Piece():
                yield piece

    def _piece(self, chunk: Json) -> Piece:
        _raise_stated(chunk)
        usage = usage_of(chunk)
        choice = _first_choice(chunk)
        if choice is None:
            return Piece(usage=usage)
        said, delta = self._said(choice)
        self._calls.take(delta)
        finish = text_of(choice.get("finish_reason"), "finish_reason")
        self._finished = self._finished or bool(finish)
        calls = self._calls.complete() if finish else ()
        return Piece(said.text, said.thinking, calls, finish, usage)


def tool_call(call_id: str, name: str, arguments: str) -> ToolCall:
    """A call whose arguments are the text of an object: models may well write something else."""
    if not name:
        raise ValueError("a call of a tool has no name")
    try:
        return ToolCall(name, json_string(read_object(arguments)) if arguments.strip() else "{}", call_id)
    except ValueError as error:
        raise ValueError("a tool's arguments are no JSON object") from error


def usage_of(answer: Json) -> Usage | None:
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    return Usage(count(usage.get("prompt_tokens")), count(usage.get("completion_tokens")))


def _delta(choice: Json) -> tuple[Piece, Json]:
    delta = object_of(choice.get("delta"), "delta")
    return _message(delta), delta


def _text(choice: Json) -> tuple[Piece, Json]:
    return Piece(text_of(choice.get("text"), "text")), {}


def _message(message: Json) -> Piece:
    """What a message or a part of one says; a refusal is what the model says."""
    text = text_of(message.get("content"), "content") or text_of(message.get("refusal"), "refusal")
    thinking = message.get("reasoning_content") or message.get("reasoning")
    return Piece(text, text_of(thinking, "reasoning"))


def _whole_chat(answer: Json) -> Piece:
    choice = _only_choice(answer)
    message = object_of(choice.get("message"), "message")
    said = _message(message)
    calls = _Calls()
    calls.take({"tool_calls": [{**call, "index": index} for index, call in _numbered(message)]})
    finish = text_of(choice.get("finish_reason"), "finish_reason")
    return Piece(said.text, said.thinking, calls.complete(), finish or "stop", usage_of(answer))


def _numbered(message: Json) -> list[tuple[int, Json]]:
    return list(enumerate(objects_of(message.get("tool_calls"), "tool_calls")))


def _whole_completion(answer: Json) -> Piece:
    choice = _only_choice(answer)
    finish = text_of(choice.get("finish_reason"), "finish_reason")
    return Piece(text_of(choice.get("text"), "text"), finish=finish or "stop", usage=usage_of(answer))


def _vectors(answer: Json) -> Vectors:
    _raise_stated(answer)
    rows = objects_of(answer.get("data"), "data")
    if not rows:
        raise ValueError("it holds no embeddings")
    in_order = sorted(enumerate(rows), key=lambda row: count(row[1].get("index", row[0])))
    vectors = tuple(vector_of(row.get("embedding")) for _, row in in_order)
    return Vectors(vectors, usage_of(answer) or Usage())


def _only_choice(answer: Json) -> Json:
    _raise_stated(answer)
    choice = _first_choice(answer)
    if choice is None:
        raise ValueError("it holds no choice")
    return choice


def _first_choice(answer: Json) -> Json | None:
    choices = objects_of(answer.get("choices"), "choices")
    return next((choice for choice in choices if count(choice.get("index", 0)) == 0), None)


def _raise_stated(answer: Json) -> None:
    failure = stated_failure(answer, BAD_GATEWAY)
    if failure is not None:
        raise Failed(failure)
