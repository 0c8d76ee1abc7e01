"""Answers of Ollama's OpenAI-compatible endpoints, with what sets them apart from OpenAI's own."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.llm.delivery import Frame
from tests.support.llm.frames import DONE, Json, compact, event, line
from tests.support.llm.ollama_frames import Call, Said, at_once, call_id, in_lines
from tests.support.llm.script import Usage
from tests.support.llm.speech import Ask, Kind, Reply


def usage_of(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
    }


@dataclass(frozen=True)
class CompatibleChat:
    """An answer of Ollama's /v1/chat/completions."""

    ask: Ask
    reply: Reply
    told: Usage | None
    created: int = field(default_factory=lambda: int(time.time()))

    def body(self) -> bytes:
        message = {"role": "assistant", **_delta(at_once(self.reply))}
        choice = {"index": 0, "message": message, "finish_reason": self.reply.finish}
        usage = {"usage": usage_of(self.told)} if self.told else {}
        return line({**self._head("chat.completion"), "choices": [choice], **usage})

    def frames(self) -> Iterator[Frame]:
        role = {"role": "assistant"}
        for said in in_lines(self.reply):
            data = b"" if said.is_hidden else self._event({**role, **_delta(said)})
            yield Frame(data, said.tokens, said.is_hidden)
            role = role if said.is_hidden else {}
        if role:  # nothing was told
            yield Frame(self._event({**role, "content": ""}))
        yield Frame(self._event({}, self.reply.finish))
        if self.ask.include_usage and self.told:
            yield Frame(event({**self._head("chat.completion.chunk"), "choices": [], "usage": usage_of(self.told)}))
        yield Frame(DONE)

    def failure(self) -> bytes:
        """An error in the middle is lost: it becomes an event that says nothing, and the stream ends."""
        return self._event({"content": ""}, name="")

    def _event(self, delta: Json, finish: str | None = None, name: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return event({**self._head("chat.completion.chunk", name), "choices": [choice]})

    def _head(self, kind: str, name: str | None = None) -> Json:
        return {
            "id": "chatcmpl-532",
            "object": kind,
            "created": self.created,
            "model": self.ask.name if name is None else name,
            "system_fingerprint": "fp_ollama",
        }


@dataclass(frozen=True)
class CompatibleText:
    """An answer of Ollama's /v1/completions."""

    ask: Ask
    reply: Reply
    told: Usage | None
    created: int = field(default_factory=lambda: int(time.time()))

    def body(self) -> bytes:
        usage = {"usage": usage_of(self.told)} if self.told else {}
        return line({**self._head(), "choices": [_choice(self.reply.said(Kind.TEXT), self._finish)], **usage})

    def frames(self) -> Iterator[Frame]:
        """Each event has a usage where it is asked for: zeros, but for the last."""
        zeros = {"usage": usage_of(Usage(0, 0))} if self.ask.include_usage else {}
        for said in in_lines(self.reply):
            yield Frame(event({**self._head(), "choices": [_choice(said.text, None)], **zeros}), said.tokens)
        yield Frame(event({**self._head(), "choices": [_choice("", self._finish)], **zeros}))
        if self.ask.include_usage and self.told:
            yield Frame(event({**self._head(), "choices": [], "usage": usage_of(self.told)}))
        yield Frame(DONE)

    def failure(self) -> bytes:
        return event({**self._head(), "model": "", "choices": [_choice("", None)]})

    @property
    def _finish(self) -> str:
        return "length" if self.reply.is_cut else "stop"

    def _head(self) -> Json:
        return {
            "id": "cmpl-532",
            "object": "text_completion",
            "created": self.created,
            "model": self.ask.name,
            "system_fingerprint": "fp_ollama",
        }


def _choice(text: str, finish: str | None) -> Json:
    return {"text": text, "index": 0, "finish_reason": finish}


def _delta(said: Said) -> Json:
    delta: Json = {"content": said.text}
    if said.thought:
        delta["reasoning"] = said.thought
    if said.calls:
        delta["tool_calls"] = [_call(call) for call in said.calls]
    return delta


def _call(call: Call) -> Json:
    number, use = call
    function = {"name": use.name, "arguments": compact(use.arguments).decode()}
    return {"id": call_id(call), "index": number, "type": "function", "function": function}
