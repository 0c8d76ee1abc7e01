"""Answers in Ollama's own format: one JSON object, or a line for each token and a last one with the counts."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.support.llm.delivery import Frame
from tests.support.llm.frames import Json, compact, line
from tests.support.llm.script import ToolUse, Usage
from tests.support.llm.speech import Ask, Kind, Reply

NANOSECONDS = 10**9
LOADING = 1_000_000
Call = tuple[int, ToolUse]


@dataclass(frozen=True)
class Said:
    """What one line says; a call is told when it is complete, and one that is cut off is made but not told."""

    text: str = ""
    thought: str = ""
    calls: tuple[Call, ...] = ()
    tokens: int = 1
    is_hidden: bool = False


def in_lines(reply: Reply) -> Iterator[Said]:
    """What is told line by line."""
    for token in reply.tokens:
        if token.kind is Kind.TEXT:
            yield Said(token.text)
        elif token.kind is Kind.THOUGHT:
            yield Said(thought=token.text)
    for number in sorted({token.call for token in reply.tokens if token.kind is Kind.NAME}):
        tokens = sum(token.call == number and token.kind in {Kind.NAME, Kind.ARGUMENTS} for token in reply.tokens)
        is_cut = number >= len(reply.calls)
        yield Said(calls=() if is_cut else ((number, reply.calls[number]),), tokens=tokens, is_hidden=is_cut)


def at_once(reply: Reply) -> Said:
    """What is told in one piece."""
    hidden = sum(said.tokens for said in in_lines(reply) if said.is_hidden)
    calls = tuple(enumerate(reply.calls))
    return Said(reply.said(Kind.TEXT), reply.said(Kind.THOUGHT), calls, len(reply.tokens) - hidden)


def hidden_in(reply: Reply) -> int:
    return len(reply.tokens) - at_once(reply).tokens


def call_id(call: Call) -> str:
    return f"call_{call[0]:08}"


@dataclass(frozen=True)
class NativeAnswer:
    """An answer of /api/chat, or of /api/generate; `told` is the usage that it tells, if any."""

    ask: Ask
    reply: Reply
    told: Usage | None
    is_chat: bool
    started: float = field(default_factory=time.monotonic)

    def body(self) -> bytes:
        return compact(self._last(at_once(self.reply)))

    def frames(self) -> Iterator[Frame]:
        for said in in_lines(self.reply):
            data = b"" if said.is_hidden else line({**self._head(), **self._place(said), "done": False})
            yield Frame(data, said.tokens, said.is_hidden)
        yield Frame(line(self._last(Said())))

    def _last(self, said: Said) -> Json:
        spent = max(1, int((time.monotonic() - self.started) * NANOSECONDS))
        counts = self.told or Usage(0, 0)
        metrics = {
            "total_duration": spent + LOADING,
            "load_duration": LOADING,
            "prompt_eval_count": counts.prompt,
            "prompt_eval_duration": LOADING,
            "eval_count": counts.completion,
            "eval_duration": spent,
        }
        context = {} if self.is_chat else {"context": list(range(self.reply.usage.total))}
        reason = "length" if self.reply.is_cut else "stop"
        told = {name: number for name, number in metrics.items() if number}  # a zero is left out
        return {**self._head(), **self._place(said), "done": True, "done_reason": reason, **context, **told}

    def _place(self, said: Said) -> Json:
        thinking = {"thinking": said.thought} if said.thought else {}
        if not self.is_chat:
            return {"response": said.text, **thinking}
        calls = [
            {
                "id": call_id(call),
                "function": {"index": call[0], "name": call[1].name, "arguments": dict(call[1].arguments)},
            }
            for call in said.calls
        ]
        message = {"role": "assistant", "content": said.text, **thinking}
        return {"message": {**message, "tool_calls": calls} if calls else message}

    def _head(self) -> Json:
        return {"model": self.ask.name, "created_at": rfc3339(time.time())}


def nothing_said(name: str, reason: str, *, is_chat: bool) -> Json:
    """The answer to a request without a word: that the model was loaded or unloaded."""
    place = {"message": {"role": "assistant", "content": ""}} if is_chat else {"response": ""}
    return {"model": name, "created_at": rfc3339(time.time()), **place, "done": True, "done_reason": reason}


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
