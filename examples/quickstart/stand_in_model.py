"""The language model of the stand-in: it says back what it was told, a word at a time, at the pace of a real one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

MODELS = ("llama3.1:8b", "qwen2.5:7b")
PACE = 0.03
TOKENS_OF_A_MESSAGE = 4
CREATED = 1735689600


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
