"""Which models there are: those that are written, and those that upstreams list, with what is written of their names.

A written model wins over a discovered one of its name, and over one that has its alias for a name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from control_plane.config import model as config
from control_plane.config.discovered import DiscoveredModel, Found
from control_plane.config.values.models import MODEL_PATTERN, matches

# What Ollama's clients leave out.
LATEST: Final = ":latest"
# What holds for models of which nothing is written.
UNWRITTEN = config.LanguageModel(name="*")


@dataclass(frozen=True)
class Known:
    """A model: what is written of it, or of names like its own, and by which upstreams it was found."""

    name: str
    written: config.LanguageModel
    found: tuple[tuple[str, DiscoveredModel], ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def is_declared(self) -> bool:
        return not self.written.is_pattern

    @property
    def told(self) -> DiscoveredModel | None:
        """What an upstream says of it; None where none says anything."""
        return self.found[0][1] if self.found else None

    @property
    def apis(self) -> tuple[config.LlmApi, ...]:
        """By which APIs it is called: as it is written, else as its upstream says."""
        if "apis" in self.written.model_fields_set or self.told is None or self.told.embeds is None:
            return self.written.apis
        return ("embeddings",) if self.told.embeds else ("chat", "completions")

    @property
    def context(self) -> int:
        """0 where nobody says."""
        return self.written.context or (0 if self.told is None else self.told.context)


def catalogue(source: config.Config, found: Found) -> Mapping[str, Known]:
    """All models by name, sorted."""
    models = (*_declared(source, found), *_discovered(source, found))
    return {model.name: model for model in sorted(models, key=lambda model: model.name)}


def _declared(source: config.Config, found: Found) -> Iterator[Known]:
    for written in source.models:
        if not written.is_pattern:
            yield Known(written.name, written, tuple(_told(written, found)), tuple(sorted(written.aliases)))


def _told(written: config.LanguageModel, found: Found) -> Iterator[tuple[str, DiscoveredModel]]:
    """What the first upstream says of a declared model, by the name that it has there."""
    upstream, name = first_target(written)
    if (told := next((item for item in found.get(upstream, ()) if item.name == name), None)) is not None:
        yield upstream, told


def prices_of_models(source: config.Config) -> Iterator[config.Price | None]:
    """What tokens of models cost, as far as it is written."""
    for model in source.models:
        yield model.price
        yield from (item.price for item in model.fallback if isinstance(item, config.FallbackTarget))


def first_target(written: config.LanguageModel) -> tuple[str, str]:
    """The first upstream of a declared model, and what it calls the model."""
    name = written.upstream_model or written.name
    if isinstance(written.upstream, tuple):
        return min((share.name, share.model or name) for share in written.upstream)
    return written.upstream or "", name


def _discovered(source: config.Config, found: Found) -> Iterator[Known]:
    taken = {name for model in source.models if not model.is_pattern for name in (model.name, *model.aliases)}
    patterns = sorted((model for model in source.models if model.is_pattern), key=precedence)
    by_name: dict[str, list[tuple[str, DiscoveredModel]]] = {}
    for upstream, models in found.items():
        for model in models:
            if model.name not in taken and re.fullmatch(MODEL_PATTERN, model.name):
                by_name.setdefault(model.name, []).append((upstream, model))
    for name, places in by_name.items():
        written = _written_of(name, {upstream for upstream, _ in places}, patterns)
        short = name.removesuffix(LATEST)
        yield Known(
            name,
            written,
            found=tuple(item for item in places if written.upstream in (None, item[0])),
            aliases=() if short in {name, *taken, *by_name} or not re.fullmatch(MODEL_PATTERN, short) else (short,),
        )


def _written_of(name: str, upstreams: Iterable[str], patterns: Iterable[config.LanguageModel]) -> config.LanguageModel:
    fitting = (item for item in patterns if matches(item.name, name) and item.upstream in (None, *upstreams))
    return next(fitting, UNWRITTEN)


def precedence(pattern: config.LanguageModel) -> tuple[int, bool, str]:
    """The lesser is looked at first: the longer, the one that says the upstream, the first by name."""
    return -len(pattern.name), pattern.upstream is None, pattern.name
