"""What is wrong with a LimitSet: everything that could not be enforced as it is written.

A newer control plane may say more than this service knows: that is a refusal too.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Final, TypeVar

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from service_kit.contract import (
    USAGE_REQUESTS,
    USAGE_TOKENS,
    USAGE_USD,
    USAGES,
    consumer_limits_name,
    plan_limits_name,
    route_limits_name,
    tenant_limits_name,
)
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

# Lua counts in doubles, which are exact to 2^53; far below it nothing is lost in a sum.
MOST: Final = 2**50
ROUTE, PLAN, CONSUMER, TENANT = (
    route_limits_name(""),
    plan_limits_name(""),
    consumer_limits_name(""),
    tenant_limits_name(""),
)
NAME_PREFIXES: Final = (ROUTE, PLAN, CONSUMER, TENANT)
NEWER: Final = "has a field that this service does not know"

T = TypeVar("T")
# What is wrong, and how to tell.
Faults = tuple[tuple[Callable[[T], bool], str], ...]


def set_faults(name: str, message: policy_pb.LimitSet) -> Iterator[str]:
    """All that is wrong with a set of this name."""
    yield from (f"it {fault}" for found, fault in SET_FAULTS if found(message))
    yield from (f"it {fault}" for prefix, found, fault in PLACES if found(message) and not name.startswith(prefix))
    for limit in message.limits:
        yield from (f"limit {limit.id!r} {fault}" for found, fault in LIMIT_FAULTS if found(limit))
    for quota in message.quotas:
        yield from (f"quota {quota.id!r} {fault}" for found, fault in QUOTA_FAULTS if found(quota))
    yield from _twice(message)
    if name.startswith(ROUTE):
        yield from _never_counted(message)


def _twice(message: policy_pb.LimitSet) -> Iterator[str]:
    seen: set[str] = set()
    for name in (*(limit.id for limit in message.limits), *(quota.id for quota in message.quotas)):
        if name in seen:
            yield f"rule {name!r} appears twice"
        seen.add(name)


def _never_counted(message: policy_pb.LimitSet) -> Iterator[str]:
    """Rules of a route on what its own calls never are."""
    metered = message.HasField("metering")
    for limit in message.limits:
        if limit.unit == policy_pb.UNIT_TOKENS and not metered:
            yield f"limit {limit.id!r} counts tokens, and the route is not metered"
    counted = {USAGE_REQUESTS, message.usage, *((USAGE_TOKENS, USAGE_USD) if metered else ())}
    for quota in message.quotas:
        if quota.usage not in counted:
            yield f"quota {quota.id!r} counts {quota.usage!r}, which calls of the route are not"


def _strange(message: Message) -> bool:
    return len(UnknownFieldSet(message)) > 0


def _unknown(enum: EnumTypeWrapper, number: int) -> bool:
    """Unspecified, too: nothing is meant by what nobody said."""
    return number == 0 or number not in enum.values()


def _dear(priced: policy_pb.Metering | policy_pb.Target) -> bool:
    return max(priced.input_price, priced.output_price) > MOST


def _named_twice(targets: Collection[policy_pb.Target]) -> bool:
    return len({target.cluster for target in targets}) < len(targets)


SET_FAULTS: Final[Faults[policy_pb.LimitSet]] = (
    (_strange, NEWER),
    (lambda found: found.usage in USAGES, "counts as what every gateway counts anyway"),
    (lambda found: _strange(found.metering), "has metering with a field that this service does not know"),
    (lambda found: _dear(found.metering), "has a price beyond all money"),
    (
        lambda found: any(map(_strange, found.metering.targets)),
        "has a target with a field that this service does not know",
    ),
    (lambda found: any(_dear(target) for target in found.metering.targets), "has a price beyond all money"),
    (lambda found: any(not target.cluster for target in found.metering.targets), "has a target without a name"),
    (lambda found: _named_twice(found.metering.targets), "names a target twice"),
    (lambda found: _strange(found.replaced), "replaces something that this service does not know"),
    (lambda found: len(set(found.replaced.usages)) < len(found.replaced.usages), "replaces a usage twice"),
    (lambda found: "" in found.replaced.usages, "replaces a usage without a name"),
)
# What only sets of one kind may say.
PLACES: Final[tuple[tuple[str, Callable[[policy_pb.LimitSet], bool], str], ...]] = (
    (ROUTE, lambda found: found.usage != "", "counts as something, and is no route's"),
    (ROUTE, lambda found: found.HasField("metering"), "is metered, and no route's"),
    (ROUTE, lambda found: found.exempt, "is exempt, and no route's"),
    (ROUTE, lambda found: found.model != "", "is a model's, and no route's"),
    (CONSUMER, lambda found: found.HasField("replaced"), "replaces rules of a plan, and is no consumer's"),
)
# Of limits and of quotas.
RULE_FAULTS: Final[Faults[policy_pb.Limit | policy_pb.Quota]] = (
    (_strange, NEWER),
    (lambda rule: not rule.id, "has no id"),
    (lambda rule: not 0 < rule.amount <= MOST, f"must allow 1 to {MOST}"),
    (lambda rule: not rule.per, "does not say per what it counts"),
    (lambda rule: any(_unknown(policy_pb.Dimension, number) for number in rule.per), "counts per an unknown dimension"),
    (lambda rule: len(set(rule.per)) < len(rule.per), "names a dimension twice"),
    (lambda rule: _unknown(policy_pb.Mode, rule.mode), "has an unknown mode"),
    (
        lambda rule: _unknown(policy_pb.StoreFailure, rule.on_store_failure),
        "says nothing known of a store that is away",
    ),
)
LIMIT_FAULTS: Final[Faults[policy_pb.Limit]] = (
    *RULE_FAULTS,
    (lambda limit: _unknown(policy_pb.Unit, limit.unit), "counts an unknown unit"),
    (lambda limit: limit.unit != policy_pb.UNIT_CONCURRENT and limit.period_seconds == 0, "has no period"),
    (
        lambda limit: limit.unit == policy_pb.UNIT_CONCURRENT and limit.period_seconds > 0,
        "counts calls at once, by time",
    ),
)
QUOTA_FAULTS: Final[Faults[policy_pb.Quota]] = (
    *RULE_FAULTS,
    (lambda quota: not quota.usage, "does not say what it counts"),
    (lambda quota: _unknown(policy_pb.Calendar, quota.window), "has an unknown window"),
)
