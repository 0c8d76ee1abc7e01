"""Ollama, twice: `ollama` is spoken to in OpenAI's format, which it knows itself, `ollama-native` in its own."""

from typing import Final

from llm_providers.ollama.discovery import DETAILS, DISCOVERY
from llm_providers.ollama.inbound.endpoints import ollama_inbound
from llm_providers.ollama.native.endpoints import ollama_native
from llm_providers.provider import OLLAMA, OPENAI, LLMProvider

# Clients that speak Ollama's own API, over OpenAI's format.
INBOUND: Final = {OLLAMA: ollama_inbound}
HEALTH: Final = "/api/version"
PROVIDERS: Final = (
    LLMProvider(
        name="ollama",
        dialect=OPENAI,
        health=HEALTH,
        discovery=DISCOVERY,
        details=DETAILS,
        native=(OPENAI, OLLAMA),
    ),
    LLMProvider(
        name="ollama-native",
        dialect=OLLAMA,
        health=HEALTH,
        discovery=DISCOVERY,
        details=DETAILS,
        native=(OLLAMA,),
        from_openai=ollama_native,
    ),
)
