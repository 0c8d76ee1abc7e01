"""Decides a call: every rule that counts it, one counter for each, taken all or none.

It knows neither gRPC nor Redis. What cannot be counted as a rule says (no identity, no address, no cost, an unknown
route or plan, no store) is never a yes, but for rules in report mode, which refuse nothing.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from ratelimit_service.applying import Unknown, applying, claim, missing, with_model
from ratelimit_service.claims import Claim, Hold, Taken
from ratelimit_service.cost import HELD, Cost, Missing, held
from ratelimit_service.descriptors import Ask
from ratelimit_service.policy import LEASE_SECONDS, Dimension, LimitPolicy, Rule
from ratelimit_service.policy_faults import MOST
from ratelimit_service.scripts import StoreUnavailable
from ratelimit_service.windows import MICROSECONDS, Reading, Window
from service_kit.contract import NUMBER_RECEIVED, USAGE_REQUESTS, USAGE_TOKENS, USAGE_USD

# A quota says so from here on, in percent.
WARN_FROM: Final = 80


class Counters(Protocol):
    """Where calls are counted."""

    async def take(self, claims: Sequence[Claim], hold: Hold | None) -> Taken: ...


@dataclass(frozen=True)
class Standing:
    """How a caller stands with one rule; seconds are rounded up."""

    rule: Rule
    # What this call takes, or would.
    amount: int
    used: int
    # With what an admin has granted.
    limit: int
    reset_seconds: int
    retry_seconds: int
    # Of a quota, when its window ends, in seconds since the epoch.
    resets_at: int = 0

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def is_refused(self) -> bool:
        return self.retry_seconds > 0 and not self.rule.report


@dataclass(frozen=True)
class Admitted:
    """The call may pass. `tightest` has the fewest left; None where no rule has a window."""

    tightest: Standing | None = None
    # Quotas that are almost spent.
    warnings: tuple[Standing, ...] = ()
    # Rules in report mode that would have refused it.
    would_refuse: tuple[Rule, ...] = ()
    # Tokens that an answer may have; None where they are not counted.
    output: int | None = None
    # Whether it took something until its stream ends.
    holds: bool = False
    # Of a call of a language model: the tightest of requests and of tokens.
    of_model: tuple[Standing, ...] = ()


@dataclass(frozen=True)
class Refused:
    """A limit or quota is used up. Of several the one that lasts longest speaks: after it, the call passes."""

    tightest: Standing | None
    longest: Standing
    cost: Cost
    # As of a call that was admitted.
    of_model: tuple[Standing, ...] = ()


@dataclass(frozen=True)
class TooDear:
    """The call may come to cost more than the whole of a rule, of which this would be left to an answer."""

    rule: Rule
    limit: int
    cost: Cost


@dataclass(frozen=True)
class Unidentified:
    """A rule counts per something that the call does not have; counting all such calls as one would be wrong."""

    rule: Rule
    dimension: Dimension


@dataclass(frozen=True)
class Unheld:
    """A rule corrects what it counts when the stream ends, and the call came without a hold or its own size."""

    route: str


@dataclass(frozen=True)
class Repeated:
    """A call under way has the same hold's id, which no two requests share."""

    hold: str


@dataclass(frozen=True)
class Unavailable:
    """The store did not answer."""

    reason: str


Decision = Admitted | Refused | TooDear | Missing | Unidentified | Unheld | Repeated | Unknown | Unavailable


async def decide(ask: Ask, policy: LimitPolicy, counters: Counters) -> Decision:
    """The answer to a call."""
    found = applying(ask, policy)
    if isinstance(found, Unknown):
        return found
    ask = with_model(ask, found.route)
    cost = held(ask, found.route)
    if isinstance(cost, Missing):
        return Unheld(ask.route) if NUMBER_RECEIVED in cost.names else cost
    counted = [rule for rule in found.rules if cost.amount(rule.usage)]
    impossible = {rule: refusal for rule in counted if (refusal := _impossible(rule, ask, cost)) is not None}
    for rule, refusal in impossible.items():
        if not rule.report:
            return refusal
    admitted = Admitted(
        would_refuse=tuple(impossible), output=None if found.route.prices is None else cost.tokens.output
    )
    possible = [rule for rule in counted if rule not in impossible]
    return await _taken(ask, possible, cost, counters, admitted) if possible else admitted


async def _taken(ask: Ask, rules: Sequence[Rule], cost: Cost, counters: Counters, admitted: Admitted) -> Decision:
    claims = [claim(rule, ask, cost.amount(rule.usage)) for rule in rules]
    hold = _hold(ask, cost) if any(item.held for item in claims) else None
    try:
        taken = await counters.take(claims, hold)
    except StoreUnavailable as error:
        return Unavailable(str(error))
    if taken.repeated:
        return Repeated(ask.hold or "")
    standings = list(_standings(rules, cost, taken))
    told = () if ask.model is None else tuple(_tightest_of_each(standings))
    if not taken.admitted:
        refused = _refused(standings, cost)
        return replace(refused, of_model=told) if isinstance(refused, Refused) else refused
    return _admitted(standings, replace(admitted, holds=hold is not None, of_model=told))


def _impossible(rule: Rule, ask: Ask, cost: Cost) -> Unidentified | Unheld | TooDear | None:
    """Why a rule cannot pass the call, whatever its counter says."""
    if (dimension := missing(rule, ask)) is not None:
        return Unidentified(rule, dimension)
    if rule.usage in HELD and ask.hold is None:
        return Unheld(ask.route)
    if rule.usage not in (USAGE_TOKENS, USAGE_USD):
        return None
    # An admin may have granted more of a quota than it is: there the counter is asked.
    most = MOST if rule.is_quota else rule.limit
    return TooDear(rule, rule.limit, cost) if cost.amount(rule.usage) > most else None


def _hold(ask: Ask, cost: Cost) -> Hold:
    return Hold(ask.hold or "", LEASE_SECONDS * MICROSECONDS, note(ask, cost))


def note(ask: Ask, cost: Cost) -> str:
    """What is told of a call whose end never comes."""
    known = {
        "route": ask.route,
        "subject": ask.subject,
        "tenant": ask.tenant,
        "consumer": ask.consumer,
        "plan": ask.plan,
        "tokens_in": cost.tokens.input,
        "tokens_out": cost.tokens.output,
        "cost": cost.nano_dollars,
        **({} if ask.model is None else {"model": ask.model}),
    }
    return json.dumps(known, separators=(",", ":"))


def _standings(rules: Sequence[Rule], cost: Cost, taken: Taken) -> Iterator[Standing]:
    for rule, reading in zip(rules, taken.readings, strict=True):
        if reading is not None:
            yield _standing(rule, cost.amount(rule.usage), reading, taken.now)


def _standing(rule: Rule, amount: int, reading: Reading, now: int) -> Standing:
    return Standing(
        rule=rule,
        amount=amount,
        used=reading.count,
        limit=rule.limit + reading.granted,
        reset_seconds=_seconds(reading.reset),
        retry_seconds=_seconds(reading.retry),
        resets_at=_seconds(now + reading.reset) if rule.is_quota else 0,
    )


def _admitted(standings: Sequence[Standing], admitted: Admitted) -> Admitted:
    reported = tuple(standing.rule for standing in standings if standing.rule.report and standing.retry_seconds)
    enforced = [standing for standing in standings if not standing.rule.report]
    warnings = tuple(
        standing
        for standing in enforced
        if standing.rule.is_quota and standing.used * 100 >= standing.limit * WARN_FROM
    )
    return replace(
        admitted, tightest=_tightest(enforced), warnings=warnings, would_refuse=admitted.would_refuse + reported
    )


def _refused(standings: Sequence[Standing], cost: Cost) -> Refused | TooDear | Unavailable:
    refusing = [standing for standing in standings if standing.is_refused]
    if not refusing:
        return Unavailable("it refuses and does not say why")
    for standing in refusing:
        if standing.rule.is_quota and standing.rule.usage in HELD and standing.amount > standing.limit:
            return TooDear(standing.rule, standing.limit, cost)
    longest = max(refusing, key=lambda standing: standing.retry_seconds)
    enforced = [standing for standing in standings if not standing.rule.report]
    same = [standing for standing in enforced if standing.rule.usage == longest.rule.usage]
    tightest = _tightest(same) or _tightest(enforced)
    # Retry-After is not to be earlier than RateLimit-Reset (draft-ietf-httpapi-ratelimit-headers-03, section 3.3).
    told = tightest is not None and tightest.reset_seconds <= longest.retry_seconds
    return Refused(tightest if told else None, longest, cost)


def _tightest(standings: Sequence[Standing]) -> Standing | None:
    """Of the rules with a sliding window the one with the fewest left; requests speak before tokens."""
    windows = [standing for standing in standings if isinstance(standing.rule.measure, Window)]
    return min(
        windows,
        key=lambda standing: (standing.rule.usage == USAGE_TOKENS, standing.remaining, -standing.reset_seconds),
        default=None,
    )


def _tightest_of_each(standings: Sequence[Standing]) -> Iterator[Standing]:
    """Of requests, and of tokens."""
    for usage in (USAGE_REQUESTS, USAGE_TOKENS):
        found = _tightest([item for item in standings if item.rule.usage == usage and not item.rule.report])
        if found is not None:
            yield found


def _seconds(microseconds: int) -> int:
    return -(-microseconds // MICROSECONDS)
