"""What an upstream lists, made fit to be used: names that clients can write, each once, so many at most."""

import json
import re
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter

from control_plane.config.values.models import MODEL_PATTERN
from llm_providers.models import Listed, Model

MOST_MODELS: Final = 1_000
# The largest file of it.
LARGEST_LISTING: Final = 8 << 20


@dataclass(frozen=True)
class Listing:
    """The models by name, and in a sentence what was left out of them.

    `described` are those of which the upstream has told the details.
    """

    models: tuple[Model, ...]
    left_out: str = ""
    described: frozenset[str] = frozenset()


_ADAPTER: Final = TypeAdapter(Listing)


def listing(found: Listed) -> Listing:
    """The models that can be used."""
    by_name: dict[str, Model] = {}
    for model in found.models:
        by_name.setdefault(model.name, model)
    usable = sorted(name for name in by_name if re.fullmatch(MODEL_PATTERN, name))
    reasons = (
        (found.unreadable, "have no name, or details that are none"),
        (len(by_name) - len(usable), "have names that are none"),
        (len(usable) - MOST_MODELS, f"are more than the {MOST_MODELS} that are taken"),
    )
    left_out = " and ".join(f"{number} {reason}" for number, reason in reasons if number > 0)
    return Listing(tuple(by_name[name] for name in usable[:MOST_MODELS]), left_out)


def written(found: Listing) -> str:
    """As JSON text."""
    data = _ADAPTER.dump_python(found, mode="json")
    return json.dumps({**data, "described": sorted(data["described"])})


def read(text: str) -> Listing:
    """What was written; ValueError for anything else."""
    return _ADAPTER.validate_json(text)
