"""What a caller is told: which rule, how it stands, and what to do next."""

from collections.abc import Iterable
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from ratelimit_service.applying import window_name
from ratelimit_service.claims import InFlight
from ratelimit_service.cost import HELD, Missing
from ratelimit_service.descriptors import LARGEST_NUMBER
from ratelimit_service.limiter import Refused, TooDear, Unidentified
from ratelimit_service.policy import Dimension, Rule
from ratelimit_service.windows import MICROSECONDS, Window
from service_kit.contract import USAGE_REQUESTS, USAGE_TOKENS, USAGE_USD
from service_kit.metering import NANO_IN_DOLLAR, dollars

PERIOD_WORDS: Final = MappingProxyType({1: "second", 60: "minute", 3600: "hour", 86400: "day"})
DIMENSION_WORDS: Final = MappingProxyType({Dimension.IP: "address"})


def refusal_message(refused: Refused) -> str:
    """Of a limit or quota that is used up."""
    standing = refused.longest
    rule = standing.rule
    if isinstance(rule.measure, InFlight):
        calls = "1 call" if standing.limit == 1 else f"{standing.limit} calls"
        return (
            f"The limit of {calls} at once for {_counted_apart(rule.per)} is reached: retry when one has ended "
            f"(rule {rule.id})."
        )
    return f"The {_named(rule, standing.limit)} {_found(refused)}: {_cure(refused)} (rule {rule.id})."


def too_dear_message(refused: TooDear) -> str:
    """Of a call that never fits."""
    rule, cost = refused.rule, refused.cost
    affordable = cost.affordable_output(rule.usage, refused.limit)
    cure = f"ask for at most {affordable} tokens of output" if affordable > 0 else "send less input"
    return (
        f"This call may come to {_counted(cost.amount(rule.usage), rule.usage)}, more than the whole "
        f"{_named(rule, refused.limit)}: {cure} (rule {rule.id})."
    )


def missing_message(refused: Missing) -> str:
    """Of a call whose cost cannot be known."""
    names = " and ".join(f"`{name}`" for name in refused.names)
    return f"This route counts tokens, which {names} must tell: write a whole number from 0 to {LARGEST_NUMBER}."


def unidentified_message(refused: Unidentified) -> str:
    """Of a caller that a rule cannot count."""
    what = DIMENSION_WORDS.get(refused.dimension, refused.dimension.value)
    return (
        f"Calls of this route are counted per {what}, and your credential names none: "
        f"use one that does, or ask the operator (rule {refused.rule.id})."
    )


def rfc3339(at: int) -> str:
    """Seconds since the epoch as people and programs read them."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(amount: int, usage: str) -> float:
    """An amount as it is shown to callers: money in dollars."""
    return amount / NANO_IN_DOLLAR if usage == USAGE_USD else amount


def _counted(amount: int, usage: str) -> str:
    if usage == USAGE_USD:
        return f"${dollars(amount)}"
    one = amount == 1 and usage in (USAGE_REQUESTS, USAGE_TOKENS)
    return f"{amount} {usage.removesuffix('s') if one else usage}"


def _named(rule: Rule, limit: int) -> str:
    kind = "quota" if rule.is_quota else "limit"
    return f"{kind} of {_counted(limit, rule.usage)} per {_period(rule)} for {_counted_apart(rule.per)}"


def _found(refused: Refused) -> str:
    standing, rule = refused.longest, refused.longest.rule
    if rule.usage in HELD and standing.remaining:
        left, most = (_counted(amount, rule.usage) for amount in (standing.remaining, standing.amount))
        return f"has {left} left, and this call may come to {most}"
    if rule.usage not in HELD and standing.amount > 1:
        return f"has {standing.remaining} left, and this call counts as {standing.amount}"
    return "is used up"


def _cure(refused: Refused) -> str:
    standing, rule = refused.longest, refused.longest.rule
    smaller = refused.cost.affordable_output(rule.usage, standing.remaining) if rule.usage in HELD else 0
    retry = f"retry after {rfc3339(standing.resets_at)}" if rule.is_quota else f"retry in {standing.retry_seconds} s"
    return f"{retry}, or ask for at most {smaller} tokens of output" if smaller > 0 else retry


def _period(rule: Rule) -> str:
    if not isinstance(rule.measure, Window):
        return window_name(rule)
    seconds = rule.measure.period // MICROSECONDS
    return PERIOD_WORDS.get(seconds, f"{seconds} seconds")


def _counted_apart(per: Iterable[Dimension]) -> str:
    return " and ".join(f"this {DIMENSION_WORDS.get(dimension, dimension.value)}" for dimension in per)
