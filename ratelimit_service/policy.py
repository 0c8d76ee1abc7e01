"""What is counted, as the control plane says it: an immutable table of rule sets, replaced whole by accepted changes.

Errors: PolicyRejected (service_kit.subscription) names everything wrong with a change; the table stays as it was.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from google.protobuf.message import DecodeError

from ratelimit_service.claims import Calendar, CalendarUnit, Failing, InFlight, Measure
from ratelimit_service.policy_faults import NAME_PREFIXES, set_faults
from ratelimit_service.windows import MICROSECONDS, Window
from service_kit.contract import (
    LIMIT_SET_TYPE,
    USAGE_REQUESTS,
    USAGE_TOKENS,
    consumer_limits_name,
    plan_limits_name,
    route_limits_name,
    tenant_limits_name,
)
from service_kit.metering import Prices
from service_kit.subscription import PolicyRejected
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

# What a rule on calls under way counts, beside the usages; no route can name its own usage so.
CONCURRENT: Final = "!concurrent"
# Seconds for which a call that never ends holds its place and its tokens; longer than streams live.
LEASE_SECONDS: Final = 3600


class Dimension(Enum):
    """What a rule counts apart."""

    SUBJECT = "subject"
    TENANT = "tenant"
    CONSUMER = "consumer"
    IP = "ip"
    ROUTE = "route"
    PLAN = "plan"
    MODEL = "model"


DIMENSIONS: Final[Mapping[int, Dimension]] = MappingProxyType(
    {
        policy_pb.DIMENSION_SUBJECT: Dimension.SUBJECT,
        policy_pb.DIMENSION_TENANT: Dimension.TENANT,
        policy_pb.DIMENSION_CONSUMER: Dimension.CONSUMER,
        policy_pb.DIMENSION_IP: Dimension.IP,
        policy_pb.DIMENSION_ROUTE: Dimension.ROUTE,
        policy_pb.DIMENSION_PLAN: Dimension.PLAN,
        policy_pb.DIMENSION_MODEL: Dimension.MODEL,
    }
)
UNITS: Final[Mapping[int, str]] = MappingProxyType(
    {
        policy_pb.UNIT_REQUESTS: USAGE_REQUESTS,
        policy_pb.UNIT_TOKENS: USAGE_TOKENS,
        policy_pb.UNIT_CONCURRENT: CONCURRENT,
    }
)
CALENDAR: Final[Mapping[int, CalendarUnit]] = MappingProxyType(
    {
        policy_pb.CALENDAR_DAY: CalendarUnit.DAY,
        policy_pb.CALENDAR_WEEK: CalendarUnit.WEEK,
        policy_pb.CALENDAR_MONTH: CalendarUnit.MONTH,
    }
)
FAILING: Final[Mapping[int, Failing]] = MappingProxyType(
    {
        policy_pb.STORE_FAILURE_DENY: Failing.DENY,
        policy_pb.STORE_FAILURE_LOCAL: Failing.LOCAL,
        policy_pb.STORE_FAILURE_ALLOW: Failing.ALLOW,
    }
)


@dataclass(frozen=True)
class Rule:
    """One limit or quota of one set, counted apart for each value of `per`."""

    set_name: str
    id: str
    # "requests", "tokens", "usd", what routes count as, or CONCURRENT.
    usage: str
    measure: Measure
    per: tuple[Dimension, ...]
    # Counted and told, and refuses nothing.
    report: bool = False
    failing: Failing = Failing.DENY

    @property
    def limit(self) -> int:
        return self.measure.limit

    @property
    def is_quota(self) -> bool:
        return isinstance(self.measure, Calendar)


@dataclass(frozen=True)
class Replaced:
    """What of its plan a consumer's own rules stand in place of."""

    limits: bool = False
    usages: frozenset[str] = frozenset()
    all_quotas: bool = False

    def replaces(self, rule: Rule) -> bool:
        if not rule.is_quota:
            return self.limits
        return self.all_quotas or rule.usage in self.usages


@dataclass(frozen=True)
class RuleSet:
    """What is counted of the calls of one route, plan, consumer or tenant."""

    rules: tuple[Rule, ...] = ()
    # Of a route: what a call counts as, beside "requests".
    usage: str | None = None
    # Of a route whose calls cost tokens: the most that each may cost, whoever answers.
    prices: Prices | None = None
    # Of a route: by the name of who answers, the first one first; empty: they cost the same everywhere.
    targets: Mapping[str, Prices] = field(default_factory=lambda: MappingProxyType({}))
    # Of a route that calls a language model: its name.
    model: str | None = None
    # Of a route: only its own rules count its calls.
    exempt: bool = False
    # Of a consumer.
    replaced: Replaced = Replaced()

    def prices_of(self, target: str | None) -> Prices | None:
        """What tokens cost where this one has answered; where nobody knows who has, at the first."""
        if target is not None and target in self.targets:
            return self.targets[target]
        return next(iter(self.targets.values()), self.prices)


NOTHING: Final = RuleSet()


@dataclass(frozen=True)
class LimitPolicy:
    """Every rule in force, by the resource name of its set."""

    sets: Mapping[str, RuleSet] = field(default_factory=lambda: MappingProxyType({}))

    def of_route(self, route: str) -> RuleSet | None:
        """The set of a route; None if the route is not known here."""
        return self.sets.get(route_limits_name(route))

    def of_plan(self, plan: str) -> RuleSet | None:
        """The set of a plan; None if the plan is not known here."""
        return self.sets.get(plan_limits_name(plan))

    def of_consumer(self, consumer: str | None) -> RuleSet:
        """The set of a consumer; most have none."""
        return NOTHING if consumer is None else self.sets.get(consumer_limits_name(consumer), NOTHING)

    def of_tenant(self, tenant: str | None) -> RuleSet:
        """The set of a tenant; most have none."""
        return NOTHING if tenant is None else self.sets.get(tenant_limits_name(tenant), NOTHING)

    def changed(self, changed: Mapping[str, bytes], removed: Collection[str]) -> "LimitPolicy":
        """The policy after a change; PolicyRejected lists all that is wrong with it."""
        faults: list[str] = []
        sets = {name: rules for name, rules in self.sets.items() if name not in removed}
        for name, raw in changed.items():
            try:
                sets[name] = rule_set(name, raw)
            except PolicyRejected as fault:
                faults.append(str(fault))
        if faults:
            raise PolicyRejected("; ".join(faults))
        return LimitPolicy(MappingProxyType(sets))


class PolicyTable:
    """The policy in force; the one place where it is exchanged."""

    def __init__(self) -> None:
        self.current = LimitPolicy()

    @property
    def awaits(self) -> Collection[str]:
        """Limits know no keys."""
        return ()

    def apply(self, type_url: str, changed: Mapping[str, bytes], removed: Collection[str]) -> None:
        """Takes a change whole or not at all."""
        if type_url != LIMIT_SET_TYPE:
            raise PolicyRejected(f"{type_url} is not a policy of the rate-limit service")
        self.current = self.current.changed(changed, removed)


def rule_set(name: str, raw: bytes) -> RuleSet:
    """The content of a serialized LimitSet; PolicyRejected if some of it could not be enforced as written."""
    if not any(name.startswith(prefix) and name != prefix for prefix in NAME_PREFIXES):
        raise PolicyRejected(f"{name!r} is no name of a limit set: {' or '.join(NAME_PREFIXES)} and a name")
    message = policy_pb.LimitSet()
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise PolicyRejected(f"{name}: not a LimitSet") from error
    faults = [f"{name}: {fault}" for fault in set_faults(name, message)]
    if faults:
        raise PolicyRejected("; ".join(faults))
    targets = {target.cluster: Prices(target.input_price, target.output_price) for target in message.metering.targets}
    return RuleSet(
        rules=tuple(_rules(name, message)),
        usage=message.usage or None,
        prices=_prices(message, targets.values()),
        targets=MappingProxyType(targets),
        model=message.model or None,
        exempt=message.exempt,
        replaced=Replaced(
            message.replaced.limits, frozenset(message.replaced.usages), all_quotas=message.replaced.all_quotas
        ),
    )


def _rules(set_name: str, message: policy_pb.LimitSet) -> Iterator[Rule]:
    for limit in message.limits:
        yield Rule(set_name, limit.id, UNITS[limit.unit], _measure(limit), *_manner(limit))
    for quota in message.quotas:
        yield Rule(set_name, quota.id, quota.usage, Calendar(quota.amount, CALENDAR[quota.window]), *_manner(quota))


def _measure(limit: policy_pb.Limit) -> Measure:
    if limit.unit == policy_pb.UNIT_CONCURRENT:
        return InFlight(limit.amount, LEASE_SECONDS * MICROSECONDS)
    return Window(limit.amount, limit.period_seconds * MICROSECONDS)


def _manner(rule: policy_pb.Limit | policy_pb.Quota) -> tuple[tuple[Dimension, ...], bool, Failing]:
    per = tuple(DIMENSIONS[number] for number in rule.per)
    return per, rule.mode == policy_pb.MODE_REPORT, FAILING[rule.on_store_failure]


def _prices(message: policy_pb.LimitSet, targets: Collection[Prices]) -> Prices | None:
    """For input and output each, at the dearest: a hold is never less than what a call can come to cost."""
    if not message.HasField("metering"):
        return None
    if targets:
        return Prices(max(prices.input for prices in targets), max(prices.output for prices in targets))
    return Prices(message.metering.input_price, message.metering.output_price)
