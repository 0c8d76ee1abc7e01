"""Models: names that are taken, upstreams that are not there or say nothing of their API, rules that cannot be kept."""

from collections.abc import Iterable, Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem, did_you_mean
from control_plane.ir.checks.counting import model_limit_problems
from control_plane.ir.llm.parameters import OWN, takes_the_value
from control_plane.ir.model import Dialect

# What has no meaning to a model that makes embeddings alone.
OF_ANSWERS = ("max_tokens", "above_max_tokens", "upstream_takes", "request_usage")
API_CURE = "write whose API it speaks: `api: openai`, or `api: ollama`"

# Each with its place in the list.
Numbered = tuple[tuple[int, config.LanguageModel], ...]


def model_problems(source: config.Config) -> Iterator[Problem]:
    """What keeps models from being called as written."""
    numbered = tuple(enumerate(source.models))
    yield from _taken_names(numbered)
    for index, model in numbered:
        path: Path = ("models", index)
        yield from _upstream_problems(source, model, path)
        yield from _pattern_problems(source, model, path)
        yield from _fallback_problems(source, model, path)
        yield from _number_problems(model, path)
        yield from _parameter_problems(source, model, path)
        yield from model_limit_problems(source, model.limits, (*path, "limits"))


def names_of(source: config.Config) -> dict[str, config.LanguageModel]:
    """The models that are written, by all their names."""
    return {
        name: model
        for model in reversed(source.models)
        if not model.is_pattern
        for name in (*model.aliases, model.name)
    }


def _taken_names(numbered: Numbered) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, model in numbered:
        if first.setdefault(model.name, index) != index:
            message = f"the name {model.name!r} is taken by entry {first[model.name] + 1}"
            yield Problem(("models", index, "name"), message, "rename one")
    owners = {name: name for name in first}
    for index, model in numbered:
        for place, alias in enumerate(model.aliases):
            if alias in owners:
                yield Problem(("models", index, "aliases", place), _taken(alias, owners[alias]), "choose another")
            owners.setdefault(alias, model.name)


def _taken(name: str, owner: str) -> str:
    return f"{name!r} is the name of a model" if name == owner else f"{name!r} is an alias of model {owner!r} already"


def upstream_of_models(source: config.Config, name: str, path: Path) -> Iterator[Problem]:
    """An upstream that is to be asked for models must be there, and say whose API it speaks."""
    if name not in source.upstreams:
        cure = did_you_mean(name, source.upstreams) or "declare it in `upstreams`"
        yield Problem(path, f"there is no upstream {name!r}", cure)
    elif source.upstreams[name].api is None:
        yield Problem(path, f"upstream {name!r} has no `api`", API_CURE)


def _upstream_problems(source: config.Config, model: config.LanguageModel, path: Path) -> Iterator[Problem]:
    at: Path = (*path, "upstream")
    if isinstance(model.upstream, str):
        yield from upstream_of_models(source, model.upstream, at)
    elif model.upstream is not None:
        yield from _weight_problems(source, model, model.upstream, at)


def _weight_problems(
    source: config.Config, model: config.LanguageModel, shares: Iterable[config.WeightedTarget], at: Path
) -> Iterator[Problem]:
    shares, seen = tuple(shares), set[tuple[str, str]]()
    for index, share in enumerate(shares):
        yield from upstream_of_models(source, share.name, (*at, index, "name"))
        target = share.name, share.model or model.upstream_model or model.name
        if target in seen:
            yield Problem((*at, index), f"{target[1]!r} at {target[0]!r} stands twice", "add the weights up")
        seen.add(target)
    if not any(share.weight for share in shares):
        yield Problem(at, "all weights are 0, so nobody answers", "raise one")


def _pattern_problems(source: config.Config, model: config.LanguageModel, path: Path) -> Iterator[Problem]:
    if not model.is_pattern:
        return
    if source.discovery is None:
        cure = "write `discovery: {upstreams: [...]}`, or name one model"
        yield Problem((*path, "name"), f"{model.name!r} is for models that are discovered, and none are", cure)
    elif isinstance(model.upstream, tuple):
        yield Problem((*path, "upstream"), "who lists a model answers for it, so there are no weights", "name one")
    elif model.upstream is not None and model.upstream not in source.discovery.upstreams:
        message = f"no models of {model.upstream!r} are discovered"
        yield Problem((*path, "upstream"), message, "add it to `discovery.upstreams`")


def _fallback_problems(source: config.Config, model: config.LanguageModel, path: Path) -> Iterator[Problem]:
    known = names_of(source)
    asked = set(_targets(model))
    for index, item in enumerate(model.fallback):
        at: Path = (*path, "fallback", index)
        if isinstance(item, config.FallbackTarget):
            yield from upstream_of_models(source, item.upstream, (*at, "upstream"))
            targets = {(item.upstream, item.model or model.upstream_model or model.name)}
        elif item in known:
            yield from _falls_back_badly(model, item, known[item], at)
            targets = set(_targets(known[item]))
        else:
            yield from _unknown_model(source, item, at)
            continue
        if targets <= asked and known.get(item if isinstance(item, str) else "") is not model:
            yield Problem(at, "it is asked before already", "drop it")
        asked |= targets


def _targets(model: config.LanguageModel) -> Iterator[tuple[str, str]]:
    name = model.upstream_model or model.name
    if isinstance(model.upstream, str) and not model.is_pattern:
        yield model.upstream, name
    elif isinstance(model.upstream, tuple):
        yield from ((share.name, share.model or name) for share in model.upstream)


def _falls_back_badly(
    model: config.LanguageModel, name: str, other: config.LanguageModel, at: Path
) -> Iterator[Problem]:
    if other is model:
        yield Problem(at, f"{name!r} is this model itself", "name another")
        return
    lacking = [api for api in model.apis if api not in other.apis]
    if lacking and not model.is_pattern:
        message = f"{name!r} is not called by {', '.join(lacking)}, as {model.name!r} is"
        yield Problem(at, message, "give both the same `apis`, or name another model")


def _unknown_model(source: config.Config, name: str, at: Path) -> Iterator[Problem]:
    """Where models are discovered, it may come."""
    if source.discovery is None:
        yield Problem(at, f"there is no model {name!r}", did_you_mean(name, names_of(source)) or "add it to `models`")


def _number_problems(model: config.LanguageModel, path: Path) -> Iterator[Problem]:
    if model.context is not None and model.max_tokens > model.context:
        message = f"{model.max_tokens} is more than the context of {model.context}"
        where = "max_tokens" if "max_tokens" in model.model_fields_set else "context"
        yield Problem((*path, where), message, f"write `max_tokens: {model.context}` or less")
    if set(model.apis) == {"embeddings"}:
        for key in OF_ANSWERS:
            if key in model.model_fields_set:
                yield Problem((*path, key), "does nothing beside `apis: [embeddings]`", "drop it")


def _parameter_problems(source: config.Config, model: config.LanguageModel, path: Path) -> Iterator[Problem]:
    for index, name in enumerate(model.refuse):
        if name in OWN:
            yield Problem((*path, "refuse", index), f"what becomes of {name!r} is the gateway's to say", "drop it")
        elif name in model.set:
            yield Problem((*path, "refuse", index), f"{name!r} is `set`, whatever the client says", "drop one of them")
    for name in model.set:
        at: Path = (*path, "set", name)
        if name in OWN:
            yield Problem(at, f"what becomes of {name!r} is the gateway's to say", _other_key(name), at_key=True)
        elif source.llm.ollama and not takes_the_value(name, Dialect.OLLAMA):
            message = f"calls in Ollama's API have no {name!r} that could be set"
            yield Problem(at, message, "drop it, or write `llm: {ollama: false}`", at_key=True)


def _other_key(name: str) -> str:
    keys = {"model": "`upstream_model`", "max_tokens": "`max_tokens` of the model", "stream_options": "`request_usage`"}
    return f"write {keys[name]}" if name in keys else "drop it"
