"""The models of an Ollama: GET /api/tags lists them, POST /api/show tells of one what it can do."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from llm_providers.json_text import read_object
from llm_providers.models import Listed, Model, read_each
from llm_providers.provider import Details, Discovery, Undiscoverable, named_body
from llm_providers.wholes import count, object_of

Json = Mapping[str, object]


def models(body: bytes) -> Listed:
    try:
        answer = read_object(body)
        if "models" not in answer:
            raise ValueError("it holds no list of models")  # noqa: TRY301 - mapped below, with the rest
        return read_each(answer["models"], _model)
    except ValueError as error:
        raise Undiscoverable(str(error)) from error


def described(model: Model, body: bytes) -> Model:
    """The model with what /api/show says of it."""
    try:
        answer = read_object(body)
        facts = object_of(answer.get("model_info"), "model_info")
        details = object_of(answer.get("details"), "details")
    except ValueError as error:
        raise Undiscoverable(str(error)) from error
    return replace(
        model,
        family=model.family or _word(details, "family"),
        parameters=model.parameters or _word(details, "parameter_size"),
        quantization=model.quantization or _word(details, "quantization_level"),
        # it stands under the architecture's name: "llama.context_length"
        context=max((count(value) for key, value in facts.items() if key.endswith(".context_length")), default=0)
        or model.context,
        capabilities=_words(answer, "capabilities") or model.capabilities,
    )


def _model(row: Json) -> Model:
    name = _word(row, "model") or _word(row, "name")
    if not name:
        raise ValueError("a model has no name")
    details = object_of(row.get("details"), "details")
    modified = _seconds(_word(row, "modified_at"))
    return Model(
        name,
        created=modified,
        owner=_owner(name),
        family=_word(details, "family"),
        parameters=_word(details, "parameter_size"),
        quantization=_word(details, "quantization_level"),
        size=count(row.get("size")),
        digest=_word(row, "digest"),
        context=count(details.get("context_length")),
        capabilities=_words(row, "capabilities"),
        modified=modified,
    )


def _owner(name: str) -> str:
    """The namespace: host/namespace/model:tag, where `library` is the unwritten one."""
    parts = name.split("/")
    return parts[-2] if len(parts) > 1 else "library"


def _seconds(moment: str) -> int:
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return 0
    return max(0, int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()))


def _word(row: Json, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _words(row: Json, name: str) -> tuple[str, ...]:
    value = row.get(name)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


DISCOVERY = Discovery("/api/tags", models)
DETAILS = Details("/api/show", named_body, described)
