"""The routes of a model's calls: one for each endpoint that it has, and one an endpoint for what no model takes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from control_plane.config import model as config
from control_plane.config.values.models import patterns_of
from control_plane.ir import model as ir
from control_plane.ir.limits import Counted, limits_of
from control_plane.ir.llm.catalogue import Known
from control_plane.ir.llm.endpoints import BEGINNINGS, Endpoint
from control_plane.ir.llm.listed import as_json
from control_plane.ir.llm.parameters import place
from control_plane.ir.llm.targets import NEWER, OLDER, Groups, beginning, is_plain, provider_of, targets
from control_plane.ir.metering import prices
from control_plane.ir.model import Dialect
from control_plane.ir.native import judged_by_envoy
from control_plane.ir.routes import changes, cors, host_of, retries
from control_plane.ir.rules import accepted, demand
from service_kit.contract import model_route_name

METHODS: Final = ("POST",)
# What sends a call on to the next target: it has not begun to answer, or says that it cannot now, or not for us.
FAILURES: Final = ("5xx", "connect-failure", "refused-stream", "reset")
NOT_FOR_US: Final = (401, 402)
TOO_MANY: Final = 429
OWNER: Final = "llm"


@dataclass(frozen=True)
class Common:
    """What the calls of all models have in common."""

    source: config.Config
    demand: ir.Demand | None
    native: ir.Native | None
    limits: tuple[ir.Limit, ...]
    callers: Counted
    cors: ir.Cors | None
    response_headers: ir.HeaderChanges

    @property
    def llm(self) -> config.Llm:
        return self.source.llm


def common_to_all(source: config.Config, callers: Counted, native: ir.Native | None) -> Common:
    """What holds for all of them."""
    llm = source.llm
    asked = demand(accepted(llm, source) or (), llm.require)
    return Common(
        source=source,
        demand=asked,
        native=judged_by_envoy(asked, native),
        limits=limits_of(llm.limits, OWNER),
        callers=callers,
        cors=cors(llm.cors, METHODS),
        response_headers=changes(llm.response_headers),
    )


def catch_all(endpoint: Endpoint, shared: Common, *, limited_here: bool) -> ir.Route:
    """Takes every request until its body was read, and those that name no model which is here."""
    timeouts = ir.Timeouts(None, shared.llm.timeout, max(shared.llm.idle_timeout, shared.llm.timeout), None)
    return ir.Route(
        name=model_route_name(endpoint.name, ""),
        path=ir.PathMatch(endpoint.path, ir.PathKind.EXACT),
        action=ir.Forward((ir.Destination(ir.NOBODY),), timeouts),
        methods=METHODS,
        asked=ir.Asked(),
        body_limit=shared.llm.body_limit,
        demand=shared.demand,
        native=shared.native,
        allow_ips=tuple(sorted(shared.llm.allow_ips)),
        limited_here=limited_here,
        cors=shared.cors,
        response_headers=shared.response_headers,
    )


@dataclass(frozen=True)
class Callee:
    """A model, who answers for it, and the plans that may call it; None: everybody may."""

    model: Known
    groups: Groups
    plans: tuple[str, ...] | None
    shared: Common

    @property
    def source(self) -> config.Config:
        return self.shared.source

    @property
    def first(self) -> config.Upstream:
        """Who is asked first, or one of those."""
        return self.source.upstreams[self.groups[0][0].upstream]

    def is_plain(self, endpoint: Endpoint) -> bool:
        """Whether calls reach the only target without a variant of it."""
        return is_plain(self.groups, endpoint.dialect, self.source)


def calls(callee: Callee, endpoints: Iterable[Endpoint]) -> Iterator[ir.Route]:
    """The routes of a model's calls, at those of the endpoints that it has."""
    model, common = callee.model, callee.shared.limits
    limits = (*limits_of(model.written.limits, f"model/{model.name}"), *common)
    limits = tuple(sorted(limits, key=lambda limit: limit.id))
    spellings = patterns_of(model.name)
    for endpoint in endpoints:
        if not set(endpoint.apis).isdisjoint(model.apis):
            yield _route(callee, endpoint, _call(callee, endpoint, spellings), limits)


def _call(callee: Callee, endpoint: Endpoint, spellings: tuple[str, ...]) -> ir.ModelCall:
    written = callee.model.written
    refused = (place(name, endpoint.dialect) for name in written.refuse)
    return ir.ModelCall(
        model=callee.model.name,
        dialect=endpoint.dialect,
        targets=targets(callee.groups, endpoint.dialect, callee.source),
        plans=callee.plans,
        spellings=spellings,
        refused=tuple(sorted({".".join(keys) for keys in refused if keys is not None})),
        clamps=written.above_max_tokens == "clamp",
    )


def _route(callee: Callee, endpoint: Endpoint, call: ir.ModelCall, limits: tuple[ir.Limit, ...]) -> ir.Route:
    shared, llm, public = callee.shared, callee.shared.llm, callee.shared.demand is None
    theirs = not public and shared.callers.counts_calls(metered=True, usage=llm.usage)
    asks = theirs or any(not limit.local for limit in limits)
    names = tuple(sorted({call.model, *callee.model.aliases}))
    return ir.Route(
        name=model_route_name(endpoint.name, call.model),
        path=ir.PathMatch(endpoint.path, ir.PathKind.EXACT),
        action=_forward(callee, endpoint, call),
        methods=METHODS,
        asked=ir.Asked(names, unnamed=llm.default_model in names),
        model=call,
        body_limit=llm.body_limit,
        demand=shared.demand,
        native=shared.native,
        allow_ips=tuple(sorted(llm.allow_ips)),
        limits=limits,
        asks_limiter=asks,
        limited_here=any(limit.local for limit in limits) or (not public and shared.callers.here),
        holds=asks,
        counted_as=f"model:{call.model}",
        usage=llm.usage or "",
        tokens=_metering(callee, endpoint),
        response_headers=shared.response_headers,
        body_merge=_merged(callee, endpoint, call),
        cors=shared.cors,
    )


def _forward(callee: Callee, endpoint: Endpoint, call: ir.ModelCall) -> ir.Forward:
    first, *others = (tuple(_destination(target, callee.source) for target in group) for group in call.targets)
    balancing = (callee.source.upstreams[item.upstream].load_balancing for item in callee.groups[0])
    return ir.Forward(
        destinations=first,
        timeouts=_timeouts(callee),
        rewrite=_rewrite(callee, endpoint) if callee.is_plain(endpoint) else ir.Rewrite(),
        fallback=tuple(others),
        retries=_next_target(len(others)) if others else retries(callee.first.retries),
        hash_by=tuple(sorted({item.hash_by for item in balancing if item.hash_by is not None})),
    )


def _destination(target: ir.Target, source: config.Config) -> ir.Destination:
    return ir.Destination(target.cluster, target.weight, host_of(source.upstreams[target.upstream]))


def _timeouts(callee: Callee) -> ir.Timeouts:
    """A silence is also the wait for all that may be asked, of which the client hears nothing."""
    llm = callee.shared.llm
    first_byte = callee.model.written.timeout or callee.first.timeout or llm.timeout
    return ir.Timeouts(None, first_byte, max(llm.idle_timeout, first_byte * len(callee.groups)), llm.max_duration)


def _next_target(others: int) -> ir.Retries:
    """A try for each group: more would ask the last one again."""
    again = config.Retries()
    return ir.Retries(
        attempts=others,
        on=FAILURES,
        statuses=(*NOT_FOR_US, TOO_MANY),
        methods=METHODS,
        per_try_timeout=None,
        backoff=again.backoff,
        max_backoff=again.max_backoff,
    )


def _rewrite(callee: Callee, endpoint: Endpoint) -> ir.Rewrite:
    """The path as the upstream has it."""
    vendor = provider_of(callee.groups[0][0].upstream, callee.source)
    path = beginning(callee.first, vendor, endpoint.dialect) + endpoint.path.removeprefix(BEGINNINGS[endpoint.dialect])
    return ir.Rewrite() if path == endpoint.path else ir.Rewrite(path)


def _metering(callee: Callee, endpoint: Endpoint) -> ir.Metering:
    input_price, output_price = prices(callee.groups[0][0].price)
    written, taken = callee.model.written, _taken(callee, endpoint)
    return ir.Metering(
        api=endpoint.fields,
        most=min(written.max_tokens, callee.model.context or written.max_tokens),
        input_price=input_price,
        output_price=output_price,
        upstream_takes=taken,
        unnamed_as=OLDER if taken or endpoint.fields is not ir.Api.CHAT else NEWER,
        request_usage=written.request_usage,
    )


def _taken(callee: Callee, endpoint: Endpoint) -> str:
    """By which name the length of an answer goes on, empty: by the client's own.

    OpenAI takes either, of which its newest models know the newer one alone, but never both; others know the older one.
    """
    written = callee.model.written.upstream_takes
    if written == "either":
        return ""
    if endpoint.fields is not ir.Api.CHAT:
        return OLDER
    vendors = {provider_of(item.upstream, callee.source).name for group in callee.groups for item in group}
    return written or ("" if vendors == {Dialect.OPENAI.value} else OLDER)


def _merged(callee: Callee, endpoint: Endpoint, call: ir.ModelCall) -> str:
    """What is written into the body: what the configuration sets, and the name of the model for the only target."""
    found: dict[str, object] = {}
    options: dict[str, object] = {}
    for name, value in callee.model.written.set.items():
        keys = place(name, endpoint.dialect)
        if keys is not None:
            (found if len(keys) == 1 else options)[keys[-1]] = value
    if options:
        found["options"] = options
    if callee.is_plain(endpoint):
        found["model"] = call.targets[0][0].model
    return as_json(found) if found else ""
