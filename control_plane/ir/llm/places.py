"""Where in the configuration a route of a model stands: at the model, at the pattern of its name, or at discovery."""

from control_plane.config import model as config
from control_plane.config.errors import Path
from control_plane.config.values.models import matches
from control_plane.ir.llm.catalogue import precedence


def place_of(route: str, source: config.Config) -> Path:
    """The place of what made the route, which is called `API:MODEL`; with nothing behind the colon, all models did."""
    model = route.partition(":")[2]
    declared = {item.name: index for index, item in enumerate(source.models)}
    if model in declared:
        return "models", declared[model]
    patterns = (item for item in source.models if item.is_pattern and model and matches(item.name, model))
    pattern = min(patterns, key=precedence, default=None)
    if pattern is not None:
        return "models", declared[pattern.name]
    return ("discovery",) if source.discovery is not None else ("models",)
