"""Limits and quotas: how the words of a rule become what is counted, and whose calls the rules of callers count."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from control_plane.config import model as config
from control_plane.config.errors import Path
from control_plane.ir import model as ir
from service_kit import contract

PERIOD_NAMES = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}
# Usages that only calls of metered routes have.
METERED = frozenset({contract.USAGE_TOKENS, contract.USAGE_USD})

Written = config.Limit | config.Quota


def limits_of(items: Iterable[config.Limit], owner: str) -> tuple[ir.Limit, ...]:
    """The limits of an owner, in the order of their ids."""
    found = [limit_of(item, owner) for item in items]
    enforced = {limit.id for limit in found if limit.mode is ir.Mode.ENFORCE}
    told_apart = (replace(limit, id=_reported(limit, enforced)) for limit in found)
    return tuple(sorted(told_apart, key=lambda limit: limit.id))


def quotas_of(items: Iterable[config.Quota], owner: str) -> tuple[ir.Quota, ...]:
    """The quotas of an owner, in the order of their ids."""
    found = [quota_of(item, owner) for item in items]
    enforced = {quota.id for quota in found if quota.mode is ir.Mode.ENFORCE}
    told_apart = (replace(quota, id=_reported(quota, enforced)) for quota in found)
    return tuple(sorted(told_apart, key=lambda quota: quota.id))


def _reported(rule: ir.Limit | ir.Quota, enforced: set[str]) -> str:
    """A number that is tried beside the one in force has a counter of its own; alone, it keeps what was counted."""
    return f"{rule.id}:report" if rule.mode is ir.Mode.REPORT and rule.id in enforced else rule.id


def limit_of(item: config.Limit, owner: str) -> ir.Limit:
    """A limit whose id says what it counts, so that neither an edit elsewhere nor a new number resets its counters."""
    per, unit, local = _per(item), ir.Unit(item.unit), item.scope == "instance"
    words = [owner]
    words += [] if unit is ir.Unit.CONCURRENT else [PERIOD_NAMES[item.period_seconds]]
    words += [] if unit is ir.Unit.REQUESTS else [unit.value]
    words += [_counted(per), *(["instance"] if local else [])]
    return ir.Limit(
        id=":".join(words),
        amount=item.most,
        period=item.period_seconds,
        per=per,
        unit=unit,
        local=local,
        mode=ir.Mode(item.mode),
        on_store_failure=_on_store_failure(item),
    )


def quota_of(item: config.Quota, owner: str) -> ir.Quota:
    """A quota, whose id is made as a limit's."""
    per = _per(item)
    return ir.Quota(
        id=f"{owner}:{item.usage}:{item.amount.window}:{_counted(per)}",
        usage=item.usage,
        amount=item.units,
        window=ir.Calendar(item.amount.window),
        per=per,
        mode=ir.Mode(item.mode),
        on_store_failure=_on_store_failure(item),
    )


def _per(item: Written) -> tuple[ir.Dimension, ...]:
    return tuple(sorted(dimensions(item), key=lambda dimension: dimension.value))


def _counted(per: Iterable[ir.Dimension]) -> str:
    return "+".join(dimension.value for dimension in per)


def _on_store_failure(item: Written) -> ir.StoreFailure:
    """What is only reported never refuses."""
    return ir.StoreFailure.ALLOW if item.mode == "report" else ir.StoreFailure(item.on_store_failure)


def dimensions(item: Written) -> frozenset[ir.Dimension]:
    """What a rule counts apart."""
    words = (item.per,) if isinstance(item.per, str) else item.per
    return frozenset(ir.Dimension(word) for word in words)


def own_rules(consumer: config.Consumer) -> ir.OwnRules | None:
    """What a consumer has in place of its plan's rules."""
    if consumer.limits is None and consumer.quotas is None:
        return None
    owner = contract.consumer_limits_name(consumer.name)
    return ir.OwnRules(
        limits=limits_of(config.listed(consumer.limits), owner),
        quotas=quotas_of(config.listed(consumer.quotas), owner),
        replaces_limits=consumer.limits is not None,
        replaces_quotas=consumer.quotas == config.UNLIMITED,
    )


@dataclass(frozen=True)
class Owner:
    """Who has rules that count what callers do: a plan, a consumer or a tenant, in words and by its place."""

    name: str
    path: Path
    limits: tuple[config.Limit, ...]
    quotas: tuple[config.Quota, ...]


def owners(source: config.Config) -> Iterator[Owner]:
    """Everybody who has rules, but for routes."""
    for name, plan in source.plans.items():
        yield _owner("plan", name, ("plans", name), plan)
    for index, consumer in enumerate(source.consumers):
        if consumer.limits is not None or consumer.quotas is not None:
            yield _owner("consumer", consumer.name, ("consumers", index), consumer)
    for index, tenant in enumerate(source.tenants):
        yield _owner("tenant", tenant.name, ("tenants", index), tenant)


def _owner(kind: str, name: str, path: Path, written: config.Plan | config.Consumer | config.Tenant) -> Owner:
    return Owner(f"{kind} {name!r}", path, config.listed(written.limits), config.listed(written.quotas))


@dataclass(frozen=True)
class Counted:
    """What the rules of plans, consumers and tenants count of the calls of those who have them.

    `requests`: every call; `tokens`: what routes meter; `concurrent`: calls under way; `here`: Envoys count, each by
    itself. `usages` are those that routes name. No call passes that costs more than `dearest`; what it is changes with
    each number, and matters only to routes that come near it.
    """

    requests: bool
    tokens: bool
    concurrent: bool
    here: bool
    usages: frozenset[str]
    dearest: float = field(compare=False)

    def counts(self, route: config.Route) -> bool:
        """Whether a rule of the fleet may count the calls of this route."""
        return self.counts_calls(metered=route.tokens is not None, usage=route.usage)

    def counts_calls(self, *, metered: bool, usage: str | None) -> bool:
        """Whether a rule of the fleet may count such calls."""
        return self.requests or self.concurrent or (self.tokens and metered) or usage in self.usages

    def charges(self, route: config.Route) -> bool:
        """Whether a rule may count what a call of this route costs."""
        return self.requests or self.here or route.usage in self.usages


def counted(source: config.Config) -> Counted:
    """What the rules of callers count."""
    known = tuple(owners(source))
    limits = [limit for owner in known for limit in owner.limits]
    usages = frozenset(quota.usage for owner in known for quota in owner.quotas)
    units = {limit.unit for limit in limits if limit.scope == "fleet"}
    return Counted(
        requests="requests" in units or contract.USAGE_REQUESTS in usages,
        tokens="tokens" in units or not METERED.isdisjoint(usages),
        concurrent="concurrent" in units,
        here=any(limit.scope == "instance" for limit in limits),
        usages=usages - frozenset(contract.USAGES),
        dearest=min((amount for owner in known for amount in _admitted(owner)), default=math.inf),
    )


def _admitted(owner: Owner) -> Iterator[int]:
    """How much rules admit of what the cost of a call is taken from."""
    yield from (limit.most for limit in owner.limits if limit.unit == "requests" and limit.mode == "enforce")
    yield from (quota.units for quota in owner.quotas if quota.usage not in METERED and quota.mode == "enforce")
