"""The list of models in OpenAI's format: GET /v1/models."""

from collections.abc import Mapping

from llm_providers.json_text import read_object
from llm_providers.models import Listed, Model, read_each
from llm_providers.provider import Discovery, Undiscoverable
from llm_providers.wholes import count

# What compatible servers call the length of the context (vLLM, several hosts, LM Studio).
CONTEXTS = ("max_model_len", "context_length", "context_window", "max_context_length")


def models(body: bytes) -> Listed:
    try:
        answer = read_object(body)
        if "data" not in answer:
            raise ValueError("it holds no list of models")  # noqa: TRY301 - mapped below, with the rest
        # null is how Ollama lists no models
        return read_each(answer["data"], _model)
    except ValueError as error:
        raise Undiscoverable(str(error)) from error


def _model(row: Mapping[str, object]) -> Model:
    name = row.get("id")
    if not isinstance(name, str) or not name:
        raise ValueError("a model has no id")
    owner = row.get("owned_by")
    return Model(
        name,
        created=count(row.get("created")),
        owner=owner if isinstance(owner, str) else "",
        context=max(count(row.get(key)) for key in CONTEXTS),
    )


DISCOVERY = Discovery("/v1/models", models)
