"""The ways of models' calls to their upstreams: where one needs a process that translates, or loses what is hashed.

Only what is written decides it, whatever models are discovered: none of those makes a configuration a bad one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.ir.checks.models import names_of
from control_plane.ir.llm.endpoints import endpoints, has_models
from control_plane.ir.llm.targets import provider_of
from control_plane.ir.model import Dialect
from llm_providers.registry import needs_translator

APIS = {Dialect.OPENAI: "OpenAI's API", Dialect.OLLAMA: "Ollama's API"}
CURE = "leave out --no-translator, or start the control plane with --translator, the address of an `llm_translator`"


@dataclass(frozen=True)
class _Asked:
    """An upstream that gets calls, where that is written, whose calls, and whether nobody else may get these."""

    path: Path
    whose: str
    upstream: str
    alone: bool


def translated_calls(source: config.Config) -> Iterator[Problem]:
    """Upstreams for which calls are translated, of a configuration without other mistakes; each at the first place."""
    for asked in {item.upstream: item for item in reversed(tuple(_asked(source)))}.values():
        foreign = _foreign(source, asked.upstream)
        if foreign:
            said = " and ".join(APIS[dialect] for dialect in foreign)
            message = f"calls {asked.whose} in {said} are translated for upstream {asked.upstream!r}"
            yield Problem(asked.path, f"{message}, and nobody translates here", _cure(foreign))


def translates(source: config.Config) -> bool:
    """Whether some calls are translated, or will be as soon as a model is discovered."""
    return any(_foreign(source, name) for name in dict.fromkeys(asked.upstream for asked in _asked(source)))


def address_problems(source: config.Config) -> Iterator[Problem]:
    """Upstreams that hash by the client's address, and are reached from another connection than the client's."""
    told = set()
    for asked in _asked(source):
        upstream = source.upstreams.get(asked.upstream)
        if upstream is None or upstream.api is None or upstream.load_balancing.hash_by != "ip":
            continue
        foreign = _foreign(source, asked.upstream)
        if (foreign or not asked.alone) and asked.upstream not in told:
            told.add(asked.upstream)
            why = f"those in {APIS[foreign[0]]} are translated" if foreign else "there are others who may answer"
            message = f"calls {asked.whose} do not keep the client's address on their way: {why}"
            path: Path = ("upstreams", asked.upstream, "load_balancing", "hash_by")
            yield Problem(path, message, "write `hash_by: subject`, or a header that clients send")


def _cure(foreign: list[Dialect]) -> str:
    return f"{CURE}, or write `llm: {{ollama: false}}`" if foreign == [Dialect.OLLAMA] else CURE


def _foreign(source: config.Config, upstream: str) -> list[Dialect]:
    """The dialects that the upstream does not speak."""
    spoken = dict.fromkeys(item.dialect for item in endpoints(source.llm))
    return [dialect for dialect in spoken if needs_translator(dialect.value, provider_of(upstream, source))]


def _asked(source: config.Config) -> Iterator[_Asked]:
    if not has_models(source):
        return
    known = names_of(source)
    for index, model in enumerate(source.models):
        yield from _of_model(model, ("models", index), known)
    asked = () if source.discovery is None else source.discovery.upstreams
    # Several may list the same model.
    alone = len(asked) == 1 and not _others_answer(source)
    for index, name in enumerate(asked):
        yield _Asked(("discovery", "upstreams", index), "of its models", name, alone)


def _others_answer(source: config.Config) -> bool:
    """Whether discovered models fall back on others, or others on them."""
    known = names_of(source)
    found = (item for model in source.models for item in model.fallback if isinstance(item, str))
    return any(model.fallback for model in source.models if model.is_pattern) or not known.keys() >= set(found)


def _of_model(model: config.LanguageModel, path: Path, known: Mapping[str, config.LanguageModel]) -> Iterator[_Asked]:
    whose, own = f"of {model.name!r}", tuple(_own(model))
    alone = len(own) == 1 and not model.fallback
    yield from (_Asked((*path, *place), whose, name, alone) for place, name in own)
    for index, item in enumerate(model.fallback):
        at: Path = (*path, "fallback", index)
        if isinstance(item, config.FallbackTarget):
            yield _Asked((*at, "upstream"), whose, item.upstream, alone=False)
        elif item in known:
            yield from (_Asked(at, whose, name, alone=False) for _, name in _own(known[item]))


def _own(model: config.LanguageModel) -> Iterator[tuple[Path, str]]:
    """The upstreams of a model by itself, with their places; of a pattern, discovery has them."""
    if isinstance(model.upstream, str) and not model.is_pattern:
        yield ("upstream",), model.upstream
    elif isinstance(model.upstream, tuple):
        yield from ((("upstream", n, "name"), share.name) for n, share in enumerate(model.upstream) if share.weight)
