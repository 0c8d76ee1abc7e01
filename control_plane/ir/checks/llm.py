"""What holds for all models: who may call, by how much, which one is meant, and whose patterns mean none."""

from collections.abc import Iterable, Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem, did_you_mean
from control_plane.config.values.models import matches
from control_plane.ir import model as ir
from control_plane.ir.checks.api_keys import declared_keys
from control_plane.ir.checks.counting import model_limit_problems
from control_plane.ir.checks.demands import demand_problems
from control_plane.ir.checks.headers import response_problems
from control_plane.ir.checks.models import model_problems, names_of, upstream_of_models
from control_plane.ir.checks.routes import auth_problems
from control_plane.ir.checks.ways import address_problems
from control_plane.ir.limits import dimensions, owners
from control_plane.ir.llm.endpoints import has_models
from control_plane.ir.rules import accepted
from service_kit.contract import CREDENTIAL_API_KEY, USAGES

LLM: Path = ("llm",)
NO_MODELS = "there are no models"
MODELS_CURE = "write `models`, or `discovery`"


def llm_problems(source: config.Config) -> Iterator[Problem]:
    """What keeps the endpoints of models from being served as written."""
    if not has_models(source):
        yield from _without_models(source)
        return
    yield from auth_problems(source, source.llm, place_of_all(source), "the models have")
    yield from demand_problems(source, source.llm, LLM)
    yield from response_problems(source.llm.response_headers, (*LLM, "response_headers"))
    yield from model_limit_problems(source, source.llm.limits, (*LLM, "limits"))
    yield from _usage_problems(source)
    yield from _default_problems(source)
    yield from _discovery_problems(source)
    yield from model_problems(source)
    yield from address_problems(source)
    yield from _permission_problems(source)


def place_of_all(source: config.Config) -> Path:
    """Where something is said of all models."""
    said = [key for key in ("llm", "models", "discovery") if key in source.model_fields_set]
    return (said[0],) if said else ()


def _without_models(source: config.Config) -> Iterator[Problem]:
    if "llm" in source.model_fields_set:
        yield Problem(LLM, f"{NO_MODELS}, so it does nothing", MODELS_CURE, at_key=True)
    for path, _ in _patterns(source):
        yield Problem(path, NO_MODELS, f"{MODELS_CURE}, or drop it", at_key=True)
    for owner in owners(source):
        lists: tuple[tuple[str, tuple[config.Limit | config.Quota, ...]], ...] = (
            ("limits", owner.limits),
            ("quotas", owner.quotas),
        )
        for key, rules in lists:
            for index, rule in enumerate(rules):
                if ir.Dimension.MODEL in dimensions(rule):
                    yield Problem((*owner.path, key, index, "per"), f"{NO_MODELS} to count apart", MODELS_CURE)


def _usage_problems(source: config.Config) -> Iterator[Problem]:
    usage, where = source.llm.usage, (*LLM, "usage")
    if usage in USAGES:
        yield Problem(where, f"{usage!r} is counted of each call that has it", "drop it, or choose another name")
    if usage is not None and accepted(source.llm, source) == ():
        yield Problem(where, "no quota counts public calls: nobody knows the callers", "write `auth`, or drop it")


def _default_problems(source: config.Config) -> Iterator[Problem]:
    name, known = source.llm.default_model, names_of(source)
    if name is not None and name not in known and source.discovery is None:
        cure = did_you_mean(name, known) or "add it to `models`"
        yield Problem((*LLM, "default_model"), f"there is no model {name!r}", cure)


def _discovery_problems(source: config.Config) -> Iterator[Problem]:
    asked = () if source.discovery is None else source.discovery.upstreams
    for index, name in enumerate(asked):
        yield from upstream_of_models(source, name, ("discovery", "upstreams", index))


def _patterns(source: config.Config) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Who may call which models, with its place."""
    for name, plan in source.plans.items():
        if plan.models is not None:
            yield ("plans", name, "models"), plan.models
    for path, _, key in declared_keys(source):
        if key.models is not None:
            yield (*path, "models"), key.models


def _permission_problems(source: config.Config) -> Iterator[Problem]:
    accept = accepted(source.llm, source)
    for path, patterns in _patterns(source):
        if accept == ():
            message = "calls of models are public: nobody is asked who calls"
            yield Problem(path, message, "write `auth` in `llm`, or drop it", at_key=True)
        elif path[0] == "consumers" and CREDENTIAL_API_KEY not in (accept or ()):
            message = "calls of models take no API keys"
            yield Problem(path, message, "add api_key to the `auth` of `llm`, or drop it", at_key=True)
        else:
            yield from _meaningless(source, patterns, path)


def _meaningless(source: config.Config, patterns: Iterable[str], path: Path) -> Iterator[Problem]:
    """Patterns that mean an alias, or nothing; where models are discovered, what they mean may come."""
    known = names_of(source)
    for index, pattern in enumerate(patterns):
        if pattern in known and known[pattern].name != pattern:
            name = known[pattern].name
            yield Problem((*path, index), f"{pattern!r} is an alias of {name!r}", f"write {name}")
        elif source.discovery is None and not takes_one(pattern, source):
            yield Problem((*path, index), f"no model is called {pattern!r}", did_you_mean(pattern, known) or "drop it")


def takes_one(pattern: str, source: config.Config) -> bool:
    """Whether a declared model is meant."""
    return any(matches(pattern, model.name) for model in source.models if not model.is_pattern)


def names_of_nothing(source: config.Config) -> Iterator[Path]:
    """Names that lead to no declared model: they wait for one to be discovered.

    Patterns of plans and keys are none of these: they are meant for what comes, and what they do not mean is refused.
    """
    known = names_of(source)
    if source.llm.default_model is not None and source.llm.default_model not in known:
        yield (*LLM, "default_model")
    for index, model in enumerate(source.models):
        for number, item in enumerate(model.fallback):
            if isinstance(item, str) and item not in known:
                yield ("models", index, "fallback", number)
