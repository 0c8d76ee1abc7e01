"""Who answers the calls of a model: upstreams group after group, and the ways to them by either dialect."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from control_plane.config import model as config
from control_plane.ir.llm.catalogue import Known
from control_plane.ir.llm.endpoints import BEGINNINGS
from control_plane.ir.metering import prices
from control_plane.ir.model import Dialect, Target, Variant
from llm_providers.provider import LLMProvider
from llm_providers.registry import provider


@dataclass(frozen=True)
class Answerer:
    """An upstream, what it calls the model, its share among those of its group, what tokens cost there, by which name
    it takes the length of an answer, where that is written, and whether its streams are asked for their usage.
    """

    upstream: str
    model: str
    weight: int
    price: config.Price | None
    takes: str | None
    asks_usage: bool


def _answerer(upstream: str, name: str, written: config.LanguageModel, weight: int = 1) -> Answerer:
    return Answerer(upstream, name, weight, written.price, written.upstream_takes, written.request_usage)


Groups = tuple[tuple[Answerer, ...], ...]
# The names of OpenAI's for the length of an answer.
OLDER, NEWER = "max_tokens", "max_completion_tokens"


def answerers(model: Known, known: Mapping[str, Known]) -> Groups:
    """Groups in the order in which they are asked; of those that are known, each once."""
    written = model.written
    groups = [*_own(model), *(group for item in written.fallback for group in _fallen_back(item, model, known))]
    return tuple(dict.fromkeys(groups))


def _own(model: Known) -> Iterator[tuple[Answerer, ...]]:
    written = model.written
    if not model.is_declared:
        yield from ((_answerer(upstream, model.name, written),) for upstream, _ in model.found)
        return
    name = written.upstream_model or written.name
    if isinstance(written.upstream, tuple):
        shares = (item for item in written.upstream if item.weight)
        group = (_answerer(item.name, item.model or name, written, item.weight) for item in shares)
        yield tuple(sorted(group, key=lambda item: (item.upstream, item.model)))
    elif written.upstream is not None:
        yield (_answerer(written.upstream, name, written),)


def _fallen_back(
    item: str | config.FallbackTarget, model: Known, known: Mapping[str, Known]
) -> Iterator[tuple[Answerer, ...]]:
    if isinstance(item, config.FallbackTarget):
        name = item.model or model.written.upstream_model or model.name
        answerer = _answerer(item.upstream, name, model.written)
        yield (replace(answerer, price=item.price or answerer.price),)
    elif item in known:
        yield from list(_own(known[item]))[:1]


def targets(groups: Groups, dialect: Dialect, source: config.Config) -> tuple[tuple[Target, ...], ...]:
    """The same for calls in this dialect."""
    plain = is_plain(groups, dialect, source)
    return tuple(tuple(_target(item, dialect, source, groups, plain=plain) for item in group) for group in groups)


def is_plain(groups: Groups, dialect: Dialect, source: config.Config) -> bool:
    """Whether there is one target alone, which speaks the dialect: its cluster is the upstream's own."""
    if len(groups) != 1 or len(groups[0]) != 1:
        return False
    return dialect.value in provider_of(groups[0][0].upstream, source).native


def _target(item: Answerer, dialect: Dialect, source: config.Config, groups: Groups, *, plain: bool) -> Target:
    cluster = item.upstream if plain else variant(item, dialect, source, fallible=len(groups) > 1).name
    cost_in, cost_out = prices(item.price)
    return Target(cluster, item.upstream, item.model, item.weight, cost_in, cost_out)


def variants(groups: Groups, dialects: Iterable[Dialect], source: config.Config) -> Iterator[Variant]:
    """The variants that calls in these dialects are sent to."""
    for dialect in dialects:
        if not is_plain(groups, dialect, source):
            for item in (item for group in groups for item in group):
                yield variant(item, dialect, source, fallible=len(groups) > 1)


def variant(item: Answerer, dialect: Dialect, source: config.Config, *, fallible: bool) -> Variant:
    """The way to an upstream for calls in a dialect; no name of a model holds what ends its own here."""
    vendor = provider_of(item.upstream, source)
    native = dialect.value in vendor.native
    spoken = dialect if native else Dialect(vendor.dialect)
    told = not native and spoken is Dialect.OPENAI
    special = [*([item.takes] if item.takes else []), *([] if item.asks_usage else ["unasked"])] if told else []
    words = [dialect.value, *(["failover"] if fallible else []), *special]
    return Variant(
        name=f"llm:{item.upstream}:{item.model}~{'~'.join(words)}",
        upstream=item.upstream,
        model=item.model,
        path=(BEGINNINGS[spoken], beginning(source.upstreams[item.upstream], vendor, spoken)),
        translates=None if native else (dialect, vendor.name),
        fallible=fallible,
        hash_by=source.upstreams[item.upstream].load_balancing.hash_by,
        takes=_taken(item, vendor) if told else OLDER,
        asks_usage=item.asks_usage or not told,
    )


def _taken(item: Answerer, vendor: LLMProvider) -> str:
    """By which name the translator writes the length of a chat's answer: OpenAI's newest models know the newer one."""
    if item.takes is None:
        return NEWER if vendor.name == Dialect.OPENAI.value else OLDER
    return NEWER if item.takes == "either" else item.takes


def provider_of(upstream: str, source: config.Config) -> LLMProvider:
    """Of an upstream that exists and has an API."""
    return provider(source.upstreams[upstream].api or "")


def beginning(upstream: config.Upstream, vendor: LLMProvider, dialect: Dialect) -> str:
    """How the paths of a dialect begin at the upstream: the path of its address stands in place of `/v1`.

    What speaks Ollama's API, too, has that beside it.
    """
    written = upstream.addresses[0].path
    if Dialect.OLLAMA.value in vendor.native:
        return written.removesuffix(BEGINNINGS[Dialect.OPENAI]) + BEGINNINGS[dialect]
    return written or BEGINNINGS[dialect]
