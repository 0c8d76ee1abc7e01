"""A model in the words of Ollama's lists: its entry in GET /api/tags, and what POST /api/show answers of it.

What nobody has said of it is left out.
"""

from datetime import UTC, datetime

from llm_providers.models import Model

Json = dict[str, object]


def tag(model: Model) -> Json:
    """Its entry in the list."""
    facts = {"size": model.size, "digest": model.digest, **_moment(model), **_details(model)}
    return {"name": model.name, "model": model.name, **{key: value for key, value in facts.items() if value}}


def shown(model: Model) -> Json:
    """What is told of it alone; texts that come with a model, its licence and template, are not passed on."""
    architecture = {"general.architecture": model.family} if model.family else {}
    context = {f"{model.family or 'general'}.context_length": model.context} if model.context else {}
    facts = {"model_info": {**architecture, **context}, "capabilities": list(model.capabilities), **_details(model)}
    return {key: value for key, value in {**facts, **_moment(model)}.items() if value}


def _details(model: Model) -> Json:
    if not (model.family or model.parameters or model.quantization):
        return {}
    details = {
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family] if model.family else [],
        "parameter_size": model.parameters,
        "quantization_level": model.quantization,
    }
    return {"details": details}


def _moment(model: Model) -> Json:
    moment = model.modified or model.created
    return {"modified_at": datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")} if moment else {}
