"""Providers of language models: the words by which upstreams say whose API they speak."""

from typing import Annotated

from control_plane.config.errors import did_you_mean
from control_plane.config.values.base import Mistake, scalar
from llm_providers.registry import providers

WORDS = tuple(providers())
PROVIDER_PATTERN = f"^({'|'.join(WORDS)})$"
DESCRIPTION = f"one of {', '.join(WORDS)}"


def provider_word(text: str) -> str:
    """Whose API it is."""
    if text not in WORDS:
        raise Mistake(f"is not {DESCRIPTION}", did_you_mean(text, WORDS) or "write one of these", value=text)
    return text


ProviderWord = Annotated[str, scalar(provider_word, pattern=PROVIDER_PATTERN, description=DESCRIPTION)]
