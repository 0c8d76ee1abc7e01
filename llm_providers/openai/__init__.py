"""OpenAI's API and all that is compatible with it: the format that every translation goes through."""

from typing import Final

from llm_providers.openai.discovery import DISCOVERY
from llm_providers.provider import OPENAI, LLMProvider

PROVIDERS: Final = (
    LLMProvider(
        name="openai",
        dialect=OPENAI,
        health="/v1/models",
        discovery=DISCOVERY,
        native=(OPENAI,),
    ),
)
