"""The models of the stand-in: two say back what they were told, a word at a time, at the pace of real ones; one turns
texts into vectors, of which those are near each other that share words.
"""

import asyncio
import math
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

PACE = 0.03
TOKENS_OF_A_MESSAGE = 4
CREATED = 1735689600
DIMENSIONS = 64
LATEST = ":latest"


@dataclass(frozen=True)
class Model:
    """What lists tell of a model."""

    name: str
    family: str
    parameters: str
    context: int
    embeds: bool = False


MODELS = (
    Model("llama3.1:8b", "llama", "8.0B", 131072),
    Model("nomic-embed-text:latest", "nomic-bert", "137M", 2048, embeds=True),
    Model("qwen2.5:7b", "qwen2", "7.6B", 32768),
)


def model(name: str) -> Model | None:
    """The model of this name, in which `:latest` may be left out."""
    return next((item for item in MODELS if name in (item.name, item.name.removesuffix(LATEST))), None)


@dataclass(frozen=True)
class Reply:
    """What the model says, and what it costs."""

    words: tuple[str, ...]
    prompt_tokens: int
    cut: bool

    @property
    def text(self) -> str:
        return "".join(self.words)

    async def paced(self, seconds: float) -> AsyncIterator[str]:
        """The words, with a real model's pauses between them."""
        for word in self.words:
            await asyncio.sleep(seconds)
            yield word


def reply(texts: Sequence[str], limit: int | None) -> Reply:
    """The answer to these messages, at most so many tokens long."""
    said = texts[-1] if texts else ""
    words = [f"{word} " for word in f"You said: {said} I am a stand-in, and repeat it word for word.".split()]
    words[-1] = words[-1].rstrip()
    kept = words if limit is None else words[:limit]
    prompt = sum(len(text.split()) + TOKENS_OF_A_MESSAGE for text in texts)
    return Reply(tuple(kept), prompt, cut=len(kept) < len(words))


def vector(text: str) -> list[float]:
    """Of length 1: each word of the text is a step in a direction of its own."""
    steps = [0.0] * DIMENSIONS
    for word in text.lower().split():
        steps[zlib.crc32(word.encode()) % DIMENSIONS] += 1.0
    length = math.hypot(*steps) or 1.0
    return [step / length for step in steps]
