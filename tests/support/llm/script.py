"""How a stand-in answers one call: what it says, how fast, at which gates it waits, and in what way it goes wrong."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# A `cut` before the first byte of the answer; otherwise it says after how many tokens.
BEFORE_HEAD = -1


@dataclass(frozen=True)
class ToolUse:
    """A call that the model wants made."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Usage:
    """The counts of an answer; `reasoning` is a part of `completion`, `cached` one of `prompt`."""

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.completion


@dataclass(frozen=True)
class Fault:
    """An answer that is an error, in the shape of the API that was asked; `headers` such as retry-after."""

    status: int
    message: str = "the stand-in was told to fail"
    code: str | None = None
    type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Script:
    """The default answers at once, fully and truly: it says back what it was told."""

    text: str | None = None
    # None: a model that thinks has a short thought where it is asked to think.
    thinking: str | None = None
    calls: tuple[ToolUse, ...] = ()

    # Seconds before each token, and before the first byte.
    pace: float = 0.0
    silence: float = 0.0
    # Before the first byte, and before a token: the first is number 0.
    gate: threading.Event | None = None
    gates: Mapping[int, threading.Event] = field(default_factory=dict)

    # An error instead of an answer; the connection's end, or an error that is told in the stream, after some tokens.
    fault: Fault | None = None
    cut: int | None = None
    reset: bool = False
    breaks: int | None = None

    # What it tells instead of the truth, or that it does not tell.
    usage: Usage | None = None
    untold: bool = False
    cached: int = 0

    def told(self, truth: Usage) -> Usage | None:
        """What is said of an answer that costs this."""
        return None if self.untold else self.usage or truth
