"""Models as lists show them: OpenAI's, and those of Ollama, whose clients want to know more than anybody has told."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from control_plane.ir.llm.catalogue import Known
from control_plane.ir.model import ListedModel


def listed(model: Known, owner: str) -> ListedModel:
    """The model as far as its upstream has described it; `owner` is whose it is where that does not say."""
    told = model.told
    return ListedModel(
        name=model.name,
        created=0 if told is None else told.created,
        owner=owner if told is None else told.owner or owner,
        tag=as_json(_tag(model)),
        details=as_json(_details(model)),
        context=model.context,
    )


def card(model: ListedModel) -> Mapping[str, Any]:
    """OpenAI's entry."""
    said = {"id": model.name, "object": "model", "created": model.created, "owned_by": model.owner}
    return {**said, "context_length": model.context} if model.context else said


def as_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _tag(model: Known) -> Mapping[str, Any]:
    """Ollama's entry, under our name; its clients cut the digest, which no empty one survives."""
    told = json.loads(model.told.tag) if model.told is not None and model.told.tag else {}
    moment = datetime.fromtimestamp(0 if model.told is None else model.told.created, UTC)
    unsaid = {
        "modified_at": moment.isoformat().replace("+00:00", "Z"),
        "size": 0,
        "digest": hashlib.sha256(model.name.encode()).hexdigest(),
        "details": _unsaid_details(),
    }
    return {**unsaid, **told, "name": model.name, "model": model.name}


def _details(model: Known) -> Mapping[str, Any]:
    told = json.loads(model.told.details) if model.told is not None and model.told.details else {}
    embeds = model.apis == ("embeddings",)
    unsaid = {
        "details": _unsaid_details(),
        "model_info": {"general.context_length": model.context} if model.context else {},
        "capabilities": ["embedding" if embeds else "completion"],
    }
    return {**unsaid, **told}


def _unsaid_details() -> Mapping[str, Any]:
    texts = ("parent_model", "format", "family", "parameter_size", "quantization_level")
    return {**dict.fromkeys(texts, ""), "families": []}
