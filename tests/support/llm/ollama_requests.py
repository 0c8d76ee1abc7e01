"""How Ollama reads a request, by its own API and by the OpenAI-compatible one; which parts of it it does not know."""

import re
from collections.abc import Mapping
from typing import Any

from tests.support.llm.catalog import Model
from tests.support.llm.frames import Json, images_in, stops_of, text_of
from tests.support.llm.openai_server import schema_of
from tests.support.llm.script import Fault
from tests.support.llm.speech import Ask, Format
from tests.support.llm.stand_in import Refused
from tests.support.llm.tokens import count, prompt_tokens

KEPT = 300.0
FOREVER = 100 * 365 * 86400.0
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
Body = Mapping[str, Any]


def chat_ask(body: Body, model: Model) -> Ask:
    """Of /api/chat; it knows no choice of tools: that is the model's."""
    messages = body.get("messages") or []
    tools = body.get("tools") or []
    _check_tools(model, tools)
    texts = tuple(message.get("content") or "" for message in messages)
    return Ask(
        texts=texts,
        prompt=prompt_tokens(texts, images=images_of(body), tools=len(tools)),
        **_native(body, model),
    )


def generate_ask(body: Body, model: Model) -> Ask:
    """Of /api/generate; a raw prompt is not put into a template."""
    texts = tuple(text for text in (body.get("system"), body.get("prompt")) if text)
    prompt = count("".join(texts)) if body.get("raw") else prompt_tokens(texts, images=images_of(body))
    return Ask(texts=texts, prompt=prompt, **_native(body, model))


def compatible_chat_ask(body: Body, model: Model) -> Ask:
    """Of /v1/chat/completions; no `max_completion_tokens`, `n` or `tool_choice`."""
    messages = body.get("messages") or []
    if not messages:
        raise Refused(Fault(400, "[] is too short - 'messages'"))
    tools = body.get("tools") or []
    _check_tools(model, tools)
    _check_images(messages)
    texts = tuple(text_of(message.get("content")) for message in messages)
    images = sum(images_in(message.get("content")) for message in messages)
    effort = (body.get("reasoning") or {}).get("effort") or body.get("reasoning_effort")
    return Ask(
        texts=texts,
        prompt=prompt_tokens(texts, images=images, tools=len(tools)),
        schema=schema_of(body.get("response_format")),
        think=_thinks(effort and effort != "none", model, body),
        **_compatible(body, model),
    )


def compatible_text_ask(body: Body, model: Model) -> Ask:
    """Of /v1/completions, whose prompt is one text."""
    prompt = body.get("prompt") or ""
    if not isinstance(prompt, str):
        message = "json: cannot unmarshal array into Go struct field CompletionRequest.prompt of type string"
        raise Refused(Fault(400, message))
    return Ask(texts=(prompt,), prompt=prompt_tokens((prompt,)), **_compatible(body, model))


def images_of(body: Body) -> int:
    """Images of a request of either API."""
    messages = body.get("messages") or []
    in_messages = sum(len(message.get("images") or ()) + images_in(message.get("content")) for message in messages)
    return len(body.get("images") or ()) + in_messages


def kept_alive(given: Any) -> float:
    """Seconds for which a model stays loaded; a negative span is for ever."""
    if given is None:
        return KEPT
    if isinstance(given, str):
        seconds = sum(float(number) * UNITS[unit] for number, unit in SPAN.findall(given))
        return FOREVER if given.startswith("-") else seconds
    return FOREVER if given < 0 else float(given)


def _native(body: Body, model: Model) -> Json:
    options = body.get("options") or {}
    return {
        "model": model,
        "name": body["model"],
        "stream": body.get("stream") is not False,
        "limit": _limit(options.get("num_predict")),
        "stop": stops_of(options.get("stop")),
        "schema": _format(body.get("format")),
        "think": _thinks(body.get("think"), model, body),
    }


def _compatible(body: Body, model: Model) -> Json:
    return {
        "model": model,
        "name": body["model"],
        "stream": body.get("stream") is True,
        "limit": _limit(body.get("max_tokens")),
        "stop": stops_of(body.get("stop")),
        "include_usage": (body.get("stream_options") or {}).get("include_usage") is True,
    }


def _limit(number: Any) -> int | None:
    """Negative numbers are endless."""
    if number is None:
        return None
    if not isinstance(number, int):
        raise Refused(Fault(400, 'option "num_predict" must be of type integer'))
    return number if number > 0 else None


def _format(given: Any) -> Format:
    if isinstance(given, dict):
        return given
    if given in {None, ""}:
        return None
    if given == "json":
        return {}
    raise Refused(Fault(400, f'invalid format: "{given}"; expected "json" or a valid JSON Schema object'))


def _thinks(asked: Any, model: Model, body: Body) -> bool:
    """A model that can think does so unless it is told not to."""
    if asked and not model.can("thinking"):
        raise Refused(Fault(400, f'"{body["model"]}" does not support thinking'))
    return model.can("thinking") and asked is not False and asked != ""


def _check_tools(model: Model, tools: Any) -> None:
    if tools and not model.can("tools"):
        raise Refused(Fault(400, f"registry.ollama.ai/library/{model.name} does not support tools"))


def _check_images(messages: Any) -> None:
    for message in messages:
        for part in message.get("content") if isinstance(message.get("content"), list) else ():
            url = part.get("image_url")
            address = url.get("url") if isinstance(url, dict) else url
            if address and not address.startswith("data:"):
                message_text = "image URLs are not currently supported, please use base64 encoded data instead"
                raise Refused(Fault(400, message_text))
