"""How a stand-in counts: a token is a word with the space behind it, so that a test can tell the counts beforehand."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

# What a message, an image and a tool of the request cost besides their text.
OF_A_MESSAGE = 4
OF_AN_IMAGE = 256
OF_A_TOOL = 32
TOKEN = re.compile(r"\s*\S+\s*|\s+")


def tokens_of(text: str) -> tuple[str, ...]:
    """The text in tokens; joined they are the text again."""
    return tuple(TOKEN.findall(text))


def count(text: str) -> int:
    return len(tokens_of(text))


def words(number: int) -> str:
    """A text of so many tokens."""
    return " ".join(f"word{place}" for place in range(1, number + 1))


def prompt_tokens(texts: Sequence[str], *, images: int = 0, tools: int = 0) -> int:
    """What a conversation costs: its messages' texts, its images, and the tools that the model is told of."""
    return sum(OF_A_MESSAGE + count(text) for text in texts) + OF_AN_IMAGE * images + OF_A_TOOL * tools


def arguments_text(arguments: Mapping[str, Any]) -> str:
    """A tool call's arguments as the model writes them."""
    return json.dumps(arguments, ensure_ascii=False)


def call_tokens(arguments: Mapping[str, Any]) -> int:
    """What a tool call costs: its name is one token."""
    return 1 + count(arguments_text(arguments))
