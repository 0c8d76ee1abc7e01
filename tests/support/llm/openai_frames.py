"""Answers in OpenAI's format: one indented JSON object, or events a token each that end with `[DONE]`."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.support.llm.delivery import Frame
from tests.support.llm.frames import DONE, Json, event
from tests.support.llm.script import Usage
from tests.support.llm.speech import Ask, Kind, Reply, Token


def whole(data: Mapping[str, Any]) -> bytes:
    """As OpenAI writes what is not a stream."""
    return json.dumps(data, indent=2, ensure_ascii=False).encode() + b"\n"


def usage_of(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


@dataclass(frozen=True)
class ChatAnswer:
    """An answer of /v1/chat/completions; `told` is the usage that it tells, if any."""

    ask: Ask
    reply: Reply
    told: Usage | None
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def body(self) -> bytes:
        choices = [
            {"index": index, "message": self._message(), "logprobs": None, "finish_reason": self.reply.finish}
            for index in range(self.ask.choices)
        ]
        usage = {"usage": usage_of(self.told)} if self.told else {}
        return whole({**self._head("chat.completion"), "choices": choices, **usage})

    def frames(self) -> Iterator[Frame]:
        yield self._frame({"role": "assistant", "content": None if self.reply.calls else "", "refusal": None})
        for token in self.reply.tokens:
            if token.kind is Kind.THOUGHT:
                yield Frame(b"", self.ask.choices, is_hidden=True)
            else:
                yield self._frame(self._delta(token), tokens=self.ask.choices)
        yield self._frame({}, finish=self.reply.finish)
        if self.ask.include_usage and self.told:
            yield Frame(event({**self._head("chat.completion.chunk"), "choices": [], "usage": usage_of(self.told)}))
        yield Frame(DONE)

    def _message(self) -> Json:
        text = self.reply.said(Kind.TEXT)
        calls = self._calls()
        message: Json = {"role": "assistant", "content": text if text or not calls else None}
        if calls:
            message["tool_calls"] = calls
        return {**message, "refusal": None, "annotations": []}

    def _calls(self) -> list[Json]:
        """With the last one's arguments as far as they were written."""
        calls: list[Json] = []
        for token in self.reply.tokens:
            if token.kind is Kind.NAME:
                calls.append(self._call(token))
            elif token.kind is Kind.ARGUMENTS:
                calls[token.call]["function"]["arguments"] += token.text
        return calls

    def _call(self, token: Token) -> Json:
        call_id = f"call_{self.id[-20:]}{token.call:04}"
        return {"id": call_id, "type": "function", "function": {"name": token.text, "arguments": ""}}

    def _delta(self, token: Token) -> Json:
        if token.kind is Kind.TEXT:
            return {"content": token.text}
        call = self._call(token) if token.kind is Kind.NAME else {"function": {"arguments": token.text}}
        return {"tool_calls": [{"index": token.call, **call}]}

    def _frame(self, delta: Mapping[str, Any], *, tokens: int = 0, finish: str | None = None) -> Frame:
        """One event a choice."""
        head = self._head("chat.completion.chunk")
        usage: Json = {"usage": None} if self.ask.include_usage else {}
        choices = (
            {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            for index in range(self.ask.choices)
        )
        return Frame(b"".join(event({**head, "choices": [choice], **usage}) for choice in choices), tokens)

    def _head(self, kind: str) -> Json:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.ask.name,
            "service_tier": "default",
            "system_fingerprint": "fp_stand_in",
        }


@dataclass(frozen=True)
class TextAnswer:
    """An answer of /v1/completions."""

    ask: Ask
    reply: Reply
    told: Usage | None
    id: str = field(default_factory=lambda: f"cmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def body(self) -> bytes:
        choices = [self._choice(index, self.reply.said(Kind.TEXT), self._finish) for index in range(self.ask.choices)]
        usage = {"usage": usage_of(self.told)} if self.told else {}
        return whole({**self._head(), "choices": choices, **usage})

    def frames(self) -> Iterator[Frame]:
        for token in self.reply.tokens:
            yield self._frame(token.text, None, self.ask.choices)
        yield self._frame("", self._finish)
        if self.ask.include_usage and self.told:
            yield Frame(event({**self._head(), "choices": [], "usage": usage_of(self.told)}))
        yield Frame(DONE)

    @property
    def _finish(self) -> str:
        return "length" if self.reply.is_cut else "stop"

    def _frame(self, text: str, finish: str | None, tokens: int = 0) -> Frame:
        usage: Json = {"usage": None} if self.ask.include_usage else {}
        events = (
            event({**self._head(), "choices": [self._choice(index, text, finish)], **usage})
            for index in range(self.ask.choices)
        )
        return Frame(b"".join(events), tokens)

    @staticmethod
    def _choice(index: int, text: str, finish: str | None) -> Json:
        return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}

    def _head(self) -> Json:
        return {"id": self.id, "object": "text_completion", "created": self.created, "model": self.ask.name}
