"""What may be stored: the same words, networks and names that a configuration may hold."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from control_plane.config.errors import did_you_mean
from control_plane.config.values.base import Mistake
from control_plane.config.values.models import model_pattern
from control_plane.config.values.network import network
from control_plane.config.values.text import name, word
from control_plane.keys.entries import ConsumerSpec, Declared, KeySpec
from control_plane.keys.errors import BadEntry
from service_kit.identity_part import UnusablePart, models_part

# Of scopes, roles and networks each: every key is in the memory of every authorizer.
MOST_ENTRIES: Final = 100
# Seconds since the epoch; the last day that has four digits for its year.
LATEST: Final = 253_402_214_400
LONGEST_AUTHOR: Final = 256


def checked_key(spec: KeySpec, declared: Declared, now: float) -> KeySpec:
    """The key in its normal form; BadEntry says what cannot be stored."""
    _check_plan(spec.plan, declared)
    return replace(
        spec,
        consumer=_checked("consumer", name, spec.consumer),
        scopes=_all_checked("scopes", word, spec.scopes),
        roles=_all_checked("roles", word, spec.roles),
        allow_ips=_all_checked("allow_ips", network, spec.allow_ips),
        expires=None if spec.expires is None else checked_time(spec.expires, now),
        models=_checked_models(spec.models, declared),
    )


def checked_consumer(spec: ConsumerSpec, declared: Declared) -> ConsumerSpec:
    """BadEntry where it cannot be stored."""
    _check_plan(spec.plan, declared)
    _checked("name", name, spec.name)
    if spec.tenant is not None:
        _checked("tenant", word, spec.tenant)
    return spec


def checked_time(at: float, now: float) -> int:
    """The second at which a key ends."""
    if not now < at <= LATEST:
        raise BadEntry("expires: it has to be in the future, before the year 10000", "choose another time")
    return int(at)


def checked_author(by: str) -> str:
    """Who does it, as it can be shown."""
    if not by or not by.isprintable() or len(by) > LONGEST_AUTHOR:
        raise BadEntry("by: it is empty, too long or holds control characters", "say who does it")
    return by


def _check_plan(plan: str | None, declared: Declared) -> None:
    if plan is not None and plan not in declared.plans:
        cure = did_you_mean(plan, declared.plans) or "declare it in `plans`"
        raise BadEntry(f"plan: there is no plan {plan!r}", cure)


def _all_checked(key: str, check: Callable[[str], str], values: Iterable[str]) -> tuple[str, ...]:
    found = tuple(sorted({_checked(key, check, value) for value in values}))
    if len(found) > MOST_ENTRIES:
        raise BadEntry(f"{key}: there are more than {MOST_ENTRIES}", "divide them among several keys")
    return found


def _checked_models(patterns: Iterable[str], declared: Declared) -> tuple[str, ...]:
    """Without aliases: a call is judged by the name of its model."""
    found = _all_checked("models", model_pattern, patterns)
    for alias in found:
        if alias in declared.aliases:
            name = declared.aliases[alias]
            raise BadEntry(f"models: {alias!r} is an alias of {name!r}", f"write {name}")
    try:
        models_part(found)
    except UnusablePart as error:
        raise BadEntry(f"models: the list {error}", "write patterns such as `llama3.1:*`") from error
    return found


def _checked(key: str, check: Callable[[str], str], value: str) -> str:
    try:
        return check(value)
    except Mistake as mistake:
        raise BadEntry(f"{key}: {mistake}", mistake.cure) from mistake
