"""The models that upstreams list, as far as a configuration wants to know them: fetched, they count as its files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from control_plane.config.fetched import recorded, with_fetched
from control_plane.config.load import Loaded
from control_plane.config.model import Config

PREFIX: Final = "<models of "


@dataclass(frozen=True)
class DiscoveredModel:
    """A model as its upstream describes it; what that does not say is 0, empty or None.

    `created` is in seconds since the epoch, `context` a number of tokens. `tag` and `details` are JSON objects as text:
    the model's entry in Ollama's list, and what Ollama tells of it when it is asked.
    """

    name: str
    created: int = 0
    owner: str = ""
    context: int = 0
    tag: str = ""
    details: str = ""
    # Whether it makes embeddings and nothing else.
    embeds: bool | None = None


# What was found, by the name of the upstream, in the order of the names.
Found = Mapping[str, tuple[DiscoveredModel, ...]]


def models_file(upstream: str) -> str:
    """What the models of an upstream are kept under: a name that is no path."""
    return f"{PREFIX}{upstream}>"


def discovered_in(files: Mapping[str, bytes], config: Config) -> Found:
    """The models among the files of a configuration, of the upstreams that it asks."""
    return {name: _read(files[models_file(name)]) for name in _asked(config) if models_file(name) in files}


def with_discovered(loaded: Loaded, found: Found) -> Loaded:
    """The configuration with these models in place of others; of an upstream that has none, it keeps what it has."""
    listed = {models_file(upstream): _written(models) for upstream, models in found.items()}
    return with_fetched(loaded, PREFIX, map(models_file, _asked(loaded.config)), listed)


def recorded_models(referenced: Mapping[Path, bytes]) -> Found:
    """The models among what a configuration was once made of."""
    return {
        name.removeprefix(PREFIX).removesuffix(">"): _read(content)
        for name, content in recorded(referenced, PREFIX).items()
    }


def _asked(config: Config) -> tuple[str, ...]:
    return () if config.discovery is None else config.discovery.upstreams


def _written(models: tuple[DiscoveredModel, ...]) -> bytes:
    ordered = sorted(models, key=lambda model: model.name)
    return json.dumps([vars(model) for model in ordered], sort_keys=True, separators=(",", ":")).encode()


@lru_cache(maxsize=64)  # read with each edit: the same bytes are the same objects
def _read(content: bytes) -> tuple[DiscoveredModel, ...]:
    return tuple(DiscoveredModel(**item) for item in json.loads(content))
