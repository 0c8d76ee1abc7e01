"""Decides a call: the rules of its route and of its plan, one counter for each, taken all or none.

It knows neither gRPC nor Redis. What cannot be counted as the rule says (no identity, no address, an unknown route or
plan, no store) is never a yes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ratelimit_service.descriptors import Ask
from ratelimit_service.policy import Dimension, LimitPolicy, Rule
from ratelimit_service.store import Counter, StoreUnavailable, Taken, counter_key
from ratelimit_service.windows import MICROSECONDS, Reading

# A subject, a consumer or a tenant is one tenant's; an address or a route is everybody's.
IDENTITY = frozenset({Dimension.SUBJECT, Dimension.TENANT, Dimension.CONSUMER})


class Counters(Protocol):
    """Where calls are counted."""

    async def take(self, counters: Sequence[Counter], hits: int) -> Taken: ...


@dataclass(frozen=True)
class Standing:
    """How a caller stands with one rule; seconds are rounded up."""

    rule: Rule
    remaining: int
    reset_seconds: int
    retry_seconds: int


@dataclass(frozen=True)
class Admitted:
    """The call may pass. `tightest` has the fewest requests left; None where no rule applies."""

    tightest: Standing | None


@dataclass(frozen=True)
class Refused:
    """A limit is used up. Of several the one that lasts longest speaks: after it, the call passes."""

    tightest: Standing
    longest: Standing


@dataclass(frozen=True)
class Unidentified:
    """A rule counts per something that the call does not have; counting all such calls as one would be wrong."""

    rule: Rule
    dimension: Dimension


@dataclass(frozen=True)
class Unknown:
    """The call names a route or plan of which this service has no policy."""

    kind: str
    name: str


@dataclass(frozen=True)
class Unavailable:
    """The store did not answer."""

    reason: str


Decision = Admitted | Refused | Unidentified | Unknown | Unavailable


async def decide(ask: Ask, policy: LimitPolicy, counters: Counters) -> Decision:
    """The answer to a call."""
    rules = _rules(ask, policy)
    if isinstance(rules, Unknown):
        return rules
    for rule in rules:
        if (missing := _missing(rule, ask)) is not None:
            return Unidentified(rule, missing)
    if not rules:
        return Admitted(None)
    try:
        taken = await counters.take([_counter(rule, ask) for rule in rules], ask.hits)
    except StoreUnavailable as error:
        return Unavailable(str(error))
    return _outcome(taken, rules)


def _rules(ask: Ask, policy: LimitPolicy) -> tuple[Rule, ...] | Unknown:
    of_route = policy.of_route(ask.route)
    if of_route is None:
        return Unknown("route", ask.route)
    if ask.plan is None:
        return of_route
    of_plan = policy.of_plan(ask.plan)
    if of_plan is None:
        return Unknown("plan", ask.plan)
    return of_route + of_plan


def _value(dimension: Dimension, ask: Ask) -> str | None:
    match dimension:
        case Dimension.SUBJECT:
            return ask.subject
        case Dimension.TENANT:
            return ask.tenant
        case Dimension.CONSUMER:
            return ask.consumer
        case Dimension.IP:
            return ask.ip
        case Dimension.ROUTE:
            return ask.route


def _missing(rule: Rule, ask: Ask) -> Dimension | None:
    return next((dimension for dimension in rule.per if _value(dimension, ask) is None), None)


def _counter(rule: Rule, ask: Ask) -> Counter:
    """The counter of a rule for this caller.

    The key names the period, since a sub-window's number means nothing in another one, but not the limit: raising it
    forgets no call. All identity counters of a tenant share a slot; a count per address or route alone is shared by
    all tenants and lives in a slot of its own.
    """
    pairs = [f"{dimension.value}={_value(dimension, ask)}" for dimension in rule.per]
    slot = ["tenant", ask.tenant] if ask.tenant and not IDENTITY.isdisjoint(rule.per) else pairs
    return Counter(counter_key(slot, [rule.set_name, rule.id, str(rule.period_seconds), *pairs]), rule.window)


def _outcome(taken: Taken, rules: tuple[Rule, ...]) -> Admitted | Refused:
    standings = [_standing(*pair) for pair in zip(rules, taken.readings, strict=True)]
    tightest = min(standings, key=lambda standing: (standing.remaining, -standing.reset_seconds))
    if taken.admitted:
        return Admitted(tightest)
    return Refused(tightest, max(standings, key=lambda standing: standing.retry_seconds))


def _standing(rule: Rule, reading: Reading) -> Standing:
    remaining = max(0, rule.requests - reading.count)
    return Standing(rule, remaining, _seconds(reading.reset), _seconds(reading.retry))


def _seconds(microseconds: int) -> int:
    return -(-microseconds // MICROSECONDS)
