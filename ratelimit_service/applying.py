"""Which rules count a call, and the counter of each: route, plan or the consumer's own in its place, and tenant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from ratelimit_service.claims import Calendar, Claim, InFlight
from ratelimit_service.cost import HELD
from ratelimit_service.descriptors import Caller
from ratelimit_service.keys import counter_key, slot_name
from ratelimit_service.policy import CONCURRENT, Dimension, LimitPolicy, Rule, RuleSet
from ratelimit_service.windows import MICROSECONDS
from service_kit.contract import MISSING, USAGE_REQUESTS, USAGE_TOKENS, USAGE_USD

C = TypeVar("C", bound=Caller)

# A subject, a consumer or a tenant is one tenant's; an address, a route or a plan is everybody's.
IDENTITY = frozenset({Dimension.SUBJECT, Dimension.TENANT, Dimension.CONSUMER})


@dataclass(frozen=True)
class Unknown:
    """The call names a route or plan of which this service has no policy."""

    kind: str
    name: str


@dataclass(frozen=True)
class Applying:
    """The rules that count a call, and what its route says of it."""

    route: RuleSet
    rules: tuple[Rule, ...]


def applying(caller: Caller, policy: LimitPolicy) -> Applying | Unknown:
    """The rules of a call, in the order route, plan, consumer, tenant."""
    route = policy.of_route(caller.route)
    if route is None:
        return Unknown("route", caller.route)
    callers = () if route.exempt else of_caller(caller, policy)
    if isinstance(callers, Unknown):
        return callers
    counted = _usages(route)
    return Applying(route, tuple(rule for rule in (*route.rules, *callers) if rule.usage in counted))


def with_model(caller: C, route: RuleSet) -> C:
    """The caller, who calls the model of this route."""
    return caller if route.model is None else replace(caller, model=route.model)


def of_caller(caller: Caller, policy: LimitPolicy) -> tuple[Rule, ...] | Unknown:
    """The rules that count a caller's calls on every route."""
    plan = RuleSet() if caller.plan is None else policy.of_plan(caller.plan)
    if plan is None:
        return Unknown("plan", caller.plan or "")
    consumer, tenant = policy.of_consumer(caller.consumer), policy.of_tenant(caller.tenant)
    of_plan = (rule for rule in plan.rules if not consumer.replaced.replaces(rule))
    return (*of_plan, *consumer.rules, *tenant.rules)


def missing(rule: Rule, caller: Caller) -> Dimension | None:
    """What the rule counts apart and the call does not have."""
    return next((dimension for dimension in rule.per if value_of(dimension, caller) is None), None)


def claim(rule: Rule, caller: Caller, amount: int) -> Claim:
    """What a call takes from the counter of a rule for this caller.

    The key names the window, since a count means nothing in another one, but not the limit: raising it forgets no call.
    All identity counters of a tenant share a slot; a count per address, route or plan alone is shared by all tenants
    and lives in a slot of its own.
    """
    pairs = [f"{dimension.value}={value_of(dimension, caller)}" for dimension in rule.per]
    slot = ["tenant", caller.tenant] if caller.tenant and not IDENTITY.isdisjoint(rule.per) else pairs
    return Claim(
        key=counter_key(slot, [rule.set_name, rule.id, rule.usage, window_name(rule), *pairs]),
        slot=slot_name(slot),
        measure=rule.measure,
        amount=amount,
        report=rule.report,
        held=rule.usage in HELD,
        failing=rule.failing,
    )


def value_of(dimension: Dimension, caller: Caller) -> str | None:
    """What a caller is counted as."""
    return _VALUES[dimension](caller)


_VALUES: Final[Mapping[Dimension, Callable[[Caller], str | None]]] = {
    Dimension.SUBJECT: lambda caller: caller.subject,
    Dimension.TENANT: lambda caller: caller.tenant,
    Dimension.CONSUMER: lambda caller: caller.consumer,
    Dimension.IP: lambda caller: caller.ip,
    Dimension.ROUTE: lambda caller: caller.route,
    Dimension.PLAN: lambda caller: caller.plan,
    # Calls of none are counted together, beside those of each.
    Dimension.MODEL: lambda caller: caller.model or MISSING,
}


def window_name(rule: Rule) -> str:
    """A word for the rule's window."""
    match rule.measure:
        case Calendar(unit=unit):
            return unit.value
        case InFlight():
            return "now"
        case window:
            return str(window.period // MICROSECONDS)


def _usages(route: RuleSet) -> frozenset[str]:
    """What a call of the route counts as."""
    metered = () if route.prices is None else (USAGE_TOKENS, USAGE_USD)
    return frozenset({USAGE_REQUESTS, CONCURRENT, *metered, *filter(None, (route.usage,))})
