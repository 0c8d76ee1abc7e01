"""The limits in force: an immutable table of rules by route and by plan, replaced whole by each accepted change.

Errors: PolicyRejected (service_kit.subscription) names everything wrong with a change; the table stays as it was.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from ratelimit_service.windows import MICROSECONDS, Window
from service_kit.contract import LIMIT_SET_TYPE, plan_limits_name, route_limits_name
from service_kit.subscription import PolicyRejected
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

# Lua counts in doubles, which are exact to 2^53; far below it nothing is lost in a sum.
MOST_REQUESTS: Final = 2**50
NAME_PREFIXES: Final = (route_limits_name(""), plan_limits_name(""))


class Dimension(Enum):
    """What a rule counts apart."""

    SUBJECT = "subject"
    TENANT = "tenant"
    CONSUMER = "consumer"
    IP = "ip"
    ROUTE = "route"


DIMENSIONS: Final[Mapping[int, Dimension]] = MappingProxyType(
    {
        policy_pb.DIMENSION_SUBJECT: Dimension.SUBJECT,
        policy_pb.DIMENSION_TENANT: Dimension.TENANT,
        policy_pb.DIMENSION_CONSUMER: Dimension.CONSUMER,
        policy_pb.DIMENSION_IP: Dimension.IP,
        policy_pb.DIMENSION_ROUTE: Dimension.ROUTE,
    }
)


@dataclass(frozen=True)
class Rule:
    """One limit of one set, counted apart for each value of `per`."""

    set_name: str
    id: str
    window: Window
    per: tuple[Dimension, ...]

    @property
    def requests(self) -> int:
        return self.window.limit

    @property
    def period_seconds(self) -> int:
        return self.window.period // MICROSECONDS


@dataclass(frozen=True)
class LimitPolicy:
    """Every rule in force, by the resource name of its set."""

    sets: Mapping[str, tuple[Rule, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def of_route(self, route: str) -> tuple[Rule, ...] | None:
        """The rules of a route; None if the route is not known here."""
        return self.sets.get(route_limits_name(route))

    def of_plan(self, plan: str) -> tuple[Rule, ...] | None:
        """The rules of a plan; None if the plan is not known here."""
        return self.sets.get(plan_limits_name(plan))

    def changed(self, changed: Mapping[str, bytes], removed: Collection[str]) -> "LimitPolicy":
        """The policy after a change; PolicyRejected lists all that is wrong with it."""
        faults: list[str] = []
        sets = {name: rules for name, rules in self.sets.items() if name not in removed}
        for name, raw in changed.items():
            try:
                sets[name] = limit_set(name, raw)
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


def limit_set(name: str, raw: bytes) -> tuple[Rule, ...]:
    """The rules of a serialized LimitSet; PolicyRejected if one of them could not be enforced as written."""
    if not any(name.startswith(prefix) and name != prefix for prefix in NAME_PREFIXES):
        raise PolicyRejected(f"{name!r} is no name of a limit set: {' or '.join(NAME_PREFIXES)} and a name")
    message = policy_pb.LimitSet()
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise PolicyRejected(f"{name}: not a LimitSet") from error
    faults = [f"{name}: {fault}" for fault in _set_faults(message)]
    if faults:
        raise PolicyRejected("; ".join(faults))
    return tuple(_rule(name, limit) for limit in message.limits)


def _rule(set_name: str, limit: policy_pb.Limit) -> Rule:
    window = Window(limit.requests, limit.period_seconds * MICROSECONDS)
    return Rule(set_name, limit.id, window, tuple(DIMENSIONS[number] for number in limit.per))


def _set_faults(message: policy_pb.LimitSet) -> Iterator[str]:
    if len(UnknownFieldSet(message)):
        yield "it has a field that this service does not know"
    seen: set[str] = set()
    for limit in message.limits:
        yield from (f"limit {limit.id!r} {fault}" for found, fault in LIMIT_FAULTS if found(limit))
        if limit.id in seen:
            yield f"limit {limit.id!r} appears twice"
        seen.add(limit.id)


# A newer control plane may say more than this service can enforce: that is a refusal too.
LIMIT_FAULTS: Final[tuple[tuple[Callable[[policy_pb.Limit], bool], str], ...]] = (
    (lambda limit: not limit.id, "has no id"),
    (lambda limit: not 0 < limit.requests <= MOST_REQUESTS, f"must allow 1 to {MOST_REQUESTS} requests"),
    (lambda limit: limit.period_seconds == 0, "has no period"),
    (lambda limit: not limit.per, "does not say per what it counts"),
    (lambda limit: any(number not in DIMENSIONS for number in limit.per), "counts per an unknown dimension"),
    (lambda limit: len(set(limit.per)) < len(limit.per), "names a dimension twice"),
    (lambda limit: len(UnknownFieldSet(limit)) > 0, "has a field that this service does not know"),
)
