"""What becomes of OpenAI's parameters over Ollama's own API, which has most of them in `options`."""

from typing import Final

from llm_providers.asked import Asked

Json = dict[str, object]
NUMBERS: Final = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
# Whichever stands first decides.
LIMITS: Final = ("max_completion_tokens", "max_tokens")
# OpenAI's scale goes beyond Ollama's at both ends.
THINK: Final[dict[str, object]] = {
    "none": False, "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "max", "max": "max",
}  # fmt: skip
FORMATS: Final = ("text", "json_object", "json_schema")


def options(asked: Asked) -> Json:
    """Ollama's `options`: those that the client gives under that name, and over them OpenAI's own parameters."""
    extension = asked.object("options")
    said: Json = {} if extension is None else dict(extension.members)
    for name in NUMBERS:
        value = asked.number(name)
        if value is not None:
            said[name] = value
    seed, stop = asked.count("seed"), asked.texts("stop")
    if seed is not None:
        said["seed"] = seed
    if stop:
        said["stop"] = stop
    limits = (asked.count(name) for name in LIMITS)
    limit = next((count for count in limits if count is not None), None)
    if limit is not None:
        said["num_predict"] = limit
    return {"options": said} if said else {}


def keep_alive(asked: Asked) -> Json:
    value = asked.get("keep_alive")
    return {} if value is None else {"keep_alive": value}


def answer_format(asked: Asked) -> Json:
    """Ollama's `format`: "json" or a schema."""
    wanted = asked.object("response_format")
    if wanted is None:
        return {}
    kind = wanted.required_text("type")
    if kind not in FORMATS:
        raise wanted.wrong("type", "text, json_object or json_schema")
    if kind == "json_schema":
        described = wanted.object("json_schema")
        schema = None if described is None else described.object("schema")
        if schema is None:
            raise wanted.wrong("json_schema.schema", "an object")
        return {"format": dict(schema.members)}
    return {"format": "json"} if kind == "json_object" else {}


def think(asked: Asked) -> Json:
    effort = asked.text("reasoning_effort")
    if effort is None:
        return {}
    if effort not in THINK:
        raise asked.wrong("reasoning_effort", "none, minimal, low, medium, high, xhigh or max")
    return {"think": THINK[effort]}
