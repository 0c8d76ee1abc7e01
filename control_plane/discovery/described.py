"""A model that was found, as configurations take it up."""

from control_plane.config.discovered import DiscoveredModel
from llm_providers.json_text import json_string
from llm_providers.models import Model
from llm_providers.ollama.listing import shown, tag

# Ollama's words for what a model can do.
EMBEDDING = "embedding"
COMPLETION = "completion"


def discovered_model(model: Model) -> DiscoveredModel:
    can = model.capabilities
    return DiscoveredModel(
        name=model.name,
        created=model.created,
        owner=model.owner,
        context=model.context,
        tag=json_string(tag(model)),
        details=json_string(shown(model)),
        embeds=EMBEDDING in can and COMPLETION not in can if can else None,
    )
