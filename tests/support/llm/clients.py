"""Clients of OpenAI's and Ollama's APIs and what they say: they try nothing again and look for no proxy."""

from typing import Any

import ollama
import openai

from tests.support.llm.gateway import RICH, bearer

CHAT, OLLAMA_CHAT = "/v1/chat/completions", "/api/chat"
HELLO = [{"role": "user", "content": "hello there"}]
# What stand-ins answer to it.
SAID = "You said: hello there"
PLACE: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "weather", "parameters": PLACE}}


def openai_client(url: str, token: str = RICH) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0, timeout=30)


def openai_async_client(url: str, token: str = RICH) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0, timeout=30)


def ollama_client(url: str, token: str = RICH) -> ollama.Client:
    return ollama.Client(host=url, headers=bearer(token), trust_env=False, timeout=30)


def ollama_async_client(url: str, token: str = RICH) -> ollama.AsyncClient:
    return ollama.AsyncClient(host=url, headers=bearer(token), trust_env=False, timeout=30)


def weather(city: str) -> str:
    """Tells the weather.

    Args:
        city: where
    """
    return f"sunny in {city}"
