"""Ollama's errors: `{"error": "text"}`, as a body and as a line of a stream."""

from collections.abc import Mapping

from llm_providers.answers import Failure
from llm_providers.json_text import json_bytes


def error_body(failure: Failure) -> bytes:
    return json_bytes({"error": failure.message})


def stated_failure(answer: Mapping[str, object], status: int) -> Failure | None:
    error = answer.get("error")
    return Failure(error, status) if isinstance(error, str) and error else None
