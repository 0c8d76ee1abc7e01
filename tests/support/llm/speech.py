"""What the model of a stand-in says to a request, in tokens: thoughts, then text, then the calls it wants made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tests.support.llm.catalog import Model
from tests.support.llm.schemas import fitting
from tests.support.llm.script import Script, ToolUse, Usage
from tests.support.llm.tokens import arguments_text, tokens_of

THOUGHT = "The user wants to hear something. "
Format = Mapping[str, Any] | None


@dataclass(frozen=True)
class Ask:
    """A request that is in order, whichever API it came by; `name` is the model's as the client wrote it."""

    model: Model
    name: str
    texts: tuple[str, ...]
    prompt: int
    stream: bool = False
    limit: int | None = None
    stop: tuple[str, ...] = ()
    # The schema that the text has to fit; an empty one stands for any object.
    schema: Format = None
    # The call that it is made to want.
    forced: ToolUse | None = None
    think: bool = False
    choices: int = 1
    include_usage: bool = False


class Kind(Enum):
    THOUGHT = "thought"
    TEXT = "text"
    NAME = "name"
    ARGUMENTS = "arguments"


@dataclass(frozen=True)
class Token:
    """`call` is the number of the call that a name or a piece of arguments belongs to."""

    kind: Kind
    text: str
    call: int = 0


@dataclass(frozen=True)
class Reply:
    """What is said: at most as many tokens as the request allows."""

    tokens: tuple[Token, ...]
    calls: tuple[ToolUse, ...]
    is_cut: bool
    usage: Usage

    def said(self, kind: Kind) -> str:
        return "".join(token.text for token in self.tokens if token.kind is kind)

    @property
    def finish(self) -> str:
        """OpenAI's word for why it ends."""
        if self.is_cut:
            return "length"
        return "tool_calls" if self.calls else "stop"


def reply_to(ask: Ask, script: Script) -> Reply:
    """The answer; every choice of several is the same."""
    calls = script.calls or ((ask.forced,) if ask.forced else ())
    everything = (*_thoughts(ask, script), *_text(ask, script, calls), *_calls(calls))
    kept = everything if ask.limit is None else everything[: ask.limit]
    thoughts = sum(token.kind is Kind.THOUGHT for token in kept)
    usage = Usage(ask.prompt, len(kept) * ask.choices, script.cached, thoughts * ask.choices)
    is_cut = len(kept) < len(everything)
    return Reply(kept, _complete(calls, kept, len(everything)), is_cut, usage)


def _thoughts(ask: Ask, script: Script) -> tuple[Token, ...]:
    text = THOUGHT if script.thinking is None else script.thinking
    return tuple(Token(Kind.THOUGHT, word) for word in tokens_of(text)) if ask.think else ()


def _text(ask: Ask, script: Script, calls: Sequence[ToolUse]) -> tuple[Token, ...]:
    if script.text is not None:
        text = script.text
    elif calls:
        text = ""
    else:
        text = _said_back(ask)
    for stop in ask.stop:
        text = text.partition(stop)[0]
    return tuple(Token(Kind.TEXT, word) for word in tokens_of(text))


def _said_back(ask: Ask) -> str:
    last = ask.texts[-1] if ask.texts else ""
    if ask.schema is None:
        return f"You said: {last}"
    return arguments_text(fitting(ask.schema) if ask.schema else {"said": last})


def _calls(calls: Sequence[ToolUse]) -> tuple[Token, ...]:
    return tuple(
        token
        for number, call in enumerate(calls)
        for token in (
            Token(Kind.NAME, call.name, number),
            *(Token(Kind.ARGUMENTS, piece, number) for piece in tokens_of(arguments_text(call.arguments))),
        )
    )


def _complete(calls: Sequence[ToolUse], kept: Sequence[Token], whole: int) -> tuple[ToolUse, ...]:
    """The calls that were written to their end; only the last that was begun may not have been."""
    begun = sum(token.kind is Kind.NAME for token in kept)
    if len(kept) == whole:
        return tuple(calls)
    lengths = [1 + len(tokens_of(arguments_text(call.arguments))) for call in calls[:begun]]
    written = sum(token.kind in {Kind.NAME, Kind.ARGUMENTS} for token in kept)
    return tuple(call for call, end in zip(calls, _sums(lengths), strict=False) if end <= written)


def _sums(lengths: Sequence[int]) -> list[int]:
    return [sum(lengths[: place + 1]) for place in range(len(lengths))]
