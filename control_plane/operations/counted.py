"""What is counted of the calls of a route, and by whom, in the words of the configuration."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from control_plane.ir.limits import METERED, PERIOD_NAMES
from control_plane.ir.model import (
    Consumer,
    Dimension,
    Gateway,
    Limit,
    Mode,
    Plan,
    Quota,
    Route,
    StoreFailure,
    Tenant,
    Unit,
)
from service_kit.contract import USAGE_REQUESTS, USAGE_USD

# Consumers and tenants whose rules are told one by one.
MOST_TOLD: Final = 20
UNITS: Final = {Unit.REQUESTS: "requests", Unit.TOKENS: "tokens", Unit.CONCURRENT: "calls under way"}
NANO: Final = 10**9
FAILURES: Final = {
    StoreFailure.DENY: "",
    StoreFailure.LOCAL: ", counted by each process while the store is away",
    StoreFailure.ALLOW: ", not counted while the store is away",
}


def counted_here(gateway: Gateway, route: Route) -> Iterator[str]:
    """What each Envoy counts by itself."""
    yield from (words(limit) for limit in route.limits if limit.local)
    for plan in _plans(gateway, route):
        yield from (f"plan {plan.name}: {words(limit)}" for limit in plan.limits if limit.local)


def counted_by_fleet(gateway: Gateway, route: Route) -> Iterator[str]:
    """What the rate-limit service counts: rules of the route, of plans, of consumers in their place, and of tenants."""
    yield from (words(limit) for limit in route.limits if not limit.local)
    if route.demand is None or route.exempt:
        return
    for plan in gateway.plans:
        yield from (f"plan {plan.name}: {text}" for text in _applying(plan, route))
    own = (f"consumer {item.name}: {text}" for item in gateway.consumers for text in _of_consumer(item, route))
    yield from _bounded(own, "consumers")
    of_tenants = (f"tenant {item.name}: {text}" for item in gateway.tenants for text in _applying(item, route))
    yield from _bounded(of_tenants, "tenants")


def _plans(gateway: Gateway, route: Route) -> tuple[Plan, ...]:
    return () if route.demand is None or route.exempt else gateway.plans


def _of_consumer(consumer: Consumer, route: Route) -> Iterator[str]:
    own = consumer.own
    if own is None:
        return
    if own.replaces_limits and not own.limits:
        yield "no limit of its plan"
    if own.replaces_quotas:
        yield "no quota of its plan"
    found = Plan(consumer.name, own.limits, own.quotas)
    yield from (f"{text}, in place of its plan's" for text in _applying(found, route))


def _applying(owner: Plan | Tenant, route: Route) -> Iterator[str]:
    """The rules that may count calls of the route."""
    for limit in owner.limits:
        if not limit.local and (limit.unit is not Unit.TOKENS or route.tokens is not None):
            yield words(limit)
    for quota in owner.quotas:
        if quota.usage in (USAGE_REQUESTS, route.usage) or (quota.usage in METERED and route.tokens is not None):
            yield words(quota)


def _bounded(texts: Iterator[str], whose: str) -> Iterator[str]:
    yield from islice(texts, MOST_TOLD)
    if more := sum(1 for _ in texts):
        yield f"{more} more rules of {whose}"


def words(rule: Limit | Quota) -> str:
    """A rule as an admin would say it."""
    here = ", at each Envoy" if isinstance(rule, Limit) and rule.local else ""
    reported = rule.mode is Mode.REPORT
    end = ", reported only" if reported else FAILURES[rule.on_store_failure]
    return f"{_amount(rule)}{_each(rule.per)}{here}{end}"


def _amount(rule: Limit | Quota) -> str:
    if isinstance(rule, Quota):
        dollars = f"{rule.amount // NANO}.{rule.amount % NANO:09}".rstrip("0").rstrip(".")
        amount = f"{dollars} USD" if rule.usage == USAGE_USD else f"{rule.amount} {rule.usage}"
        return f"{amount} a calendar {rule.window.value}"
    amount = f"{rule.amount} {UNITS[rule.unit]}"
    if rule.unit is Unit.CONCURRENT:
        return amount
    period = PERIOD_NAMES[rule.period]
    return f"{amount} {'an' if period == 'hour' else 'a'} {period}"


def _each(per: Iterable[Dimension]) -> str:
    named = " and ".join(dimension.value for dimension in per if dimension is not Dimension.ROUTE)
    return f" per {named}" if named else " in all"
