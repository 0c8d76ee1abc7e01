"""How much: limits and quotas, and the plans and tenants that hold them."""

from dataclasses import dataclass
from enum import Enum


class Dimension(Enum):
    """What a rule counts apart; the value is the word of the configuration."""

    SUBJECT = "subject"
    TENANT = "tenant"
    CONSUMER = "consumer"
    IP = "ip"
    ROUTE = "route"
    PLAN = "plan"
    MODEL = "model"


class Unit(Enum):
    """What a limit counts; the value is the word of the configuration."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    # Calls under way.
    CONCURRENT = "concurrent"


class Calendar(Enum):
    """A calendar window, UTC; a week begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Mode(Enum):
    """Whether a rule refuses, or only tells what it would refuse."""

    ENFORCE = "enforce"
    REPORT = "report"


class StoreFailure(Enum):
    """What holds while the store of counters cannot be asked."""

    DENY = "deny"
    # Each process counts by itself.
    LOCAL = "local"
    ALLOW = "allow"


@dataclass(frozen=True)
class Limit:
    """Never more than `amount` of the unit in any `period` seconds, for each value of the dimensions.

    Of calls under way, `amount` at once, and no period. A local one is a token bucket of each Envoy: `amount` at once,
    and as many more spread over the period.
    """

    id: str
    amount: int
    period: int
    per: tuple[Dimension, ...]
    unit: Unit = Unit.REQUESTS
    local: bool = False
    mode: Mode = Mode.ENFORCE
    on_store_failure: StoreFailure = StoreFailure.DENY


@dataclass(frozen=True)
class Quota:
    """Never more than `amount` of the usage in a calendar window, for each value of the dimensions.

    The usage is "requests", "tokens", "usd", whose amount is in nano-dollars, or what routes count as.
    """

    id: str
    usage: str
    amount: int
    window: Calendar
    per: tuple[Dimension, ...]
    mode: Mode = Mode.ENFORCE
    on_store_failure: StoreFailure = StoreFailure.DENY


@dataclass(frozen=True)
class Plan:
    """A class of consumers, and what each of them may use."""

    name: str
    limits: tuple[Limit, ...] = ()
    quotas: tuple[Quota, ...] = ()


@dataclass(frozen=True)
class OwnRules:
    """Rules of one consumer, which stand in place of its plan's.

    `replaces_limits`: in place of all limits; else it has none. The quotas stand in place of those of the `usages`;
    `replaces_quotas`: of all.
    """

    limits: tuple[Limit, ...] = ()
    quotas: tuple[Quota, ...] = ()
    replaces_limits: bool = False
    replaces_quotas: bool = False

    @property
    def usages(self) -> tuple[str, ...]:
        """Usages whose quotas the plan's do not count for this consumer."""
        return tuple(sorted({quota.usage for quota in self.quotas}))


@dataclass(frozen=True)
class Tenant:
    """An organisation with rules of its own."""

    name: str
    limits: tuple[Limit, ...] = ()
    quotas: tuple[Quota, ...] = ()
