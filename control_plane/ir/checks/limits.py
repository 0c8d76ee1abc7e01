"""Limits and quotas of plans, consumers and tenants: references to nothing, rules that count nothing or the same twice.

What routes say of limits is judged in `counting`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem, did_you_mean
from control_plane.ir.checks.api_keys import declared_keys
from control_plane.ir.limits import METERED, Owner, limit_of, owners, quota_of
from control_plane.ir.llm.catalogue import prices_of_models
from control_plane.ir.llm.endpoints import has_models
from control_plane.ir.rules import accepted
from service_kit.contract import USAGE_TOKENS, USAGE_USD, USAGES

Rule = TypeVar("Rule", config.Limit, config.Quota)


def plan_problems(source: config.Config) -> Iterator[Problem]:
    """Plans that are not there, and what is wrong in those that are; consumers and tenants have the same rules."""
    yield from _unknown_plans(source)
    known = tuple(owners(source))
    for owner in known:
        yield from repeated_limits(owner.limits, (*owner.path, "limits"))
        yield from _repeated(owner.quotas, (*owner.path, "quotas"), _same_quota, _two_quotas)
        yield from _kept_by_envoys(owner)
    yield from _not_replaced(source)
    yield from _uncounted(source, known)


def _unknown_plans(source: config.Config) -> Iterator[Problem]:
    named: list[tuple[Path, str | None]] = [(("defaults", "plan"), source.defaults.plan)]
    named += [(("consumers", index, "plan"), item.plan) for index, item in enumerate(source.consumers)]
    named += [
        (("identity", "bearer_tokens", index, "plan"), item.plan)
        for index, item in enumerate(source.identity.bearer_tokens)
    ]
    named += [((*path, "plan"), key.plan) for path, _, key in declared_keys(source)]
    for path, plan in named:
        if plan is not None and plan not in source.plans:
            yield Problem(
                path, f"there is no plan {plan!r}", did_you_mean(plan, source.plans) or "declare it in `plans`"
            )


def _two_limits(limit: config.Limit) -> str:
    same = "`per`" if limit.unit == "concurrent" else "period and the same `per`"
    return f"two limits of {config.UNITS[limit.unit]} have the same {same}"


def _two_quotas(_quota: config.Quota) -> str:
    return "two quotas have the same usage, window and `per`"


def repeated_limits(limits: Iterable[config.Limit], path: Path) -> Iterator[Problem]:
    """Limits of one owner that count the same thing over the same period."""
    return _repeated(limits, path, _same_limit, _two_limits)


def _same_limit(limit: config.Limit) -> str:
    return limit_of(limit, "").id


def _same_quota(quota: config.Quota) -> str:
    return quota_of(quota, "").id


def _repeated(
    rules: Iterable[Rule], path: Path, same: Callable[[Rule], str], message: Callable[[Rule], str]
) -> Iterator[Problem]:
    """One may be tried, in mode `report`, beside the one that is in force."""
    seen: set[tuple[str, str]] = set()
    for index, rule in enumerate(rules):
        if (key := (same(rule), rule.mode)) in seen:
            yield Problem((*path, index), message(rule), "keep the lower one")
        seen.add(key)


def _kept_by_envoys(owner: Owner) -> Iterator[Problem]:
    if owner.path[0] == "plans":
        return
    for index, limit in enumerate(owner.limits):
        if limit.scope == "instance":
            message = "an Envoy by itself keeps limits of routes and plans alone"
            yield Problem((*owner.path, "limits", index, "scope"), message, "drop it")


def _not_replaced(source: config.Config) -> Iterator[Problem]:
    """An Envoy counts all who have a plan, whoever they are."""
    kept = {name for name, plan in source.plans.items() for limit in config.listed(plan.limits) if _is_kept_here(limit)}
    for index, consumer in enumerate(source.consumers):
        if consumer.limits is None:
            continue
        for plan in sorted(kept & _plans_of(source, consumer)):
            yield Problem(
                ("consumers", index, "limits"),
                f"plan {plan!r} has a limit with `scope: instance`, which counts all who have the plan",
                "drop that `scope`, or give the consumer another plan",
            )


def _plans_of(source: config.Config, consumer: config.Consumer) -> frozenset[str]:
    """Every plan that calls of the consumer may have; a declared one comes first, but for that of a key."""
    of_keys = {key.plan for key in consumer.keys if key.plan is not None}
    if consumer.plan is not None:
        return frozenset({consumer.plan, *of_keys})
    if any(issuer.claims.plan is not None and issuer.claims.consumer is not None for issuer in source.identity.jwt):
        return frozenset(source.plans)
    named = {token.plan for token in source.identity.bearer_tokens if token.consumer == consumer.name}
    clients = () if source.identity.mtls is None else source.identity.mtls.clients
    named |= {client.plan for client in clients if client.consumer == consumer.name}
    return frozenset(plan for plan in (source.defaults.plan, *named, *of_keys) if plan is not None)


def _is_kept_here(limit: config.Limit) -> bool:
    return limit.scope == "instance"


def _uncounted(source: config.Config, known: Iterable[Owner]) -> Iterator[Problem]:
    """Rules for what no call ever counts as."""
    named = [(owner, index, quota) for owner in known for index, quota in enumerate(owner.quotas)]
    usages = _usages(source) if named else frozenset()
    for owner, index, quota in named:
        if quota.usage not in usages and quota.usage not in USAGES:
            cure = did_you_mean(quota.usage, (*usages, *USAGES)) or "write it as `usage` of a route"
            path = (*owner.path, "quotas", index, "usage")
            yield Problem(path, f"no route counts as {quota.usage!r}", cure)
    yield from _unmetered(source, known, named)


def _usages(source: config.Config) -> frozenset[str]:
    """What calls count as."""
    of_models = source.llm.usage if has_models(source) else None
    return frozenset(usage for usage in (of_models, *(route.usage for route in source.routes)) if usage is not None)


def _unmetered(
    source: config.Config, known: Iterable[Owner], named: Iterable[tuple[Owner, int, config.Quota]]
) -> Iterator[Problem]:
    rules = [
        ((*owner.path, "limits", index, "tokens"), USAGE_TOKENS)
        for owner in known
        for index, limit in enumerate(owner.limits)
        if limit.tokens is not None
    ]
    rules += [
        ((*owner.path, "quotas", index, "usage"), quota.usage)
        for owner, index, quota in named
        if quota.usage in METERED
    ]
    if not rules:
        return
    metered = [route.tokens.price for route in source.routes if route.tokens and is_counted(route, source)]
    if has_models(source) and accepted(source.llm, source):
        metered += [None, *prices_of_models(source)]
    priced = any(price is not None and (price.input or price.output) for price in metered)
    for path, usage in rules:
        if not metered:
            cure = "write `tokens` at a route whose `auth` is not none, or `models`, or drop the rule"
            yield Problem(path, "no route counts the tokens of its callers", cure)
        elif usage == USAGE_USD and not priced:
            cure = "write a `price` in the `tokens` of a route, or at a model"
            yield Problem(path, "tokens of no route cost anything", cure)


def is_counted(route: config.Route, source: config.Config) -> bool:
    """Whether rules of callers count its calls: they are known, and the gateway does not answer by itself."""
    return bool(route.upstreams and accepted(route, source) and not route.exempt)
