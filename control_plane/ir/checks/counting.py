"""What routes say of limits and quotas: rules that nothing could count, or that would never let a call pass."""

from collections.abc import Iterable, Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.ir import model as ir
from control_plane.ir.checks.limits import repeated_limits
from control_plane.ir.limits import PERIOD_NAMES, Counted, dimensions, owners
from control_plane.ir.rules import accepted
from service_kit.contract import USAGE_REQUESTS, USAGES

IDENTITY_DIMENSIONS = frozenset({ir.Dimension.SUBJECT, ir.Dimension.TENANT, ir.Dimension.CONSUMER, ir.Dimension.PLAN})


def counting_problems(source: config.Config, callers: Counted, route: config.Route, path: Path) -> Iterator[Problem]:
    """What keeps the calls of a route from being counted as written."""
    own = config.listed(route.limits)
    yield from repeated_limits(own, (*path, "limits"))
    for index, limit in enumerate(own):
        if limit.tokens is not None and route.tokens is None:
            yield Problem(
                (*path, "limits", index, "tokens"), "the route counts no tokens", "write `tokens`, or drop it"
            )
        if ir.Dimension.MODEL in dimensions(limit):
            yield Problem((*path, "limits", index, "per"), "calls of a route name no model", "count by something else")
    yield from _usage_problems(source, route, path)
    yield from _cost_problems(source, callers, route, path)
    if accepted(route, source) == ():
        yield from _public_problems(route, path)


def model_limit_problems(source: config.Config, limits: Iterable[config.Limit], path: Path) -> Iterator[Problem]:
    """What keeps calls of models from being counted as written."""
    limits = tuple(limits)
    yield from repeated_limits(limits, path)
    public = accepted(source.llm, source) == ()
    for index, limit in enumerate(limits):
        counted = dimensions(limit)
        if ir.Dimension.ROUTE in counted:
            yield Problem((*path, index, "per"), "models are called on several routes", "write `per: model`")
        if public and (unknown := IDENTITY_DIMENSIONS & counted):
            names = ", ".join(sorted(dimension.value for dimension in unknown))
            message = f"public calls of models know no {names} to count by"
            yield Problem((*path, index), message, "write `per: ip` or `per: model`")


def _usage_problems(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    """A route that names a usage has quotas in mind."""
    if route.usage is None:
        return
    where = (*path, "usage")
    if route.usage in USAGES:
        yield Problem(where, f"{route.usage!r} is counted of each call that has it", "drop it, or choose another name")
    if not route.upstreams:
        answer = "redirect" if route.redirect is not None else "respond"
        yield Problem(where, f"does nothing beside `{answer}`, which the gateway answers", "drop it")
    elif route.exempt:
        yield Problem(where, "no quota counts the calls of an unlimited route", "drop it, or `limits`")
    elif accepted(route, source) == ():
        yield Problem(
            where, "no quota counts calls of a public route, which knows no callers", "write `auth`, or drop it"
        )


def _cost_problems(source: config.Config, callers: Counted, route: config.Route, path: Path) -> Iterator[Problem]:
    if "cost" not in route.model_fields_set or not route.upstreams:
        return
    where, own, known = (*path, "cost"), config.listed(route.limits), bool(accepted(route, source))
    if route.exempt or not (own or (known and callers.charges(route))):
        yield Problem(where, "no limit counts what a call costs", "write `limits`, or drop it")
        return
    too_low = list(_exceeded(route, own, (), "its own {}"))
    if known and route.cost > callers.dearest:
        for owner in owners(source):
            too_low += _exceeded(route, owner.limits, owner.quotas, f"the {{}} of {owner.name}")
    for text in too_low:
        yield Problem(
            where, f"a call counts as {route.cost}, and {text}", "lower it, or raise the limit: no call would pass"
        )


def _exceeded(
    route: config.Route, limits: Iterable[config.Limit], quotas: Iterable[config.Quota], whose: str
) -> Iterator[str]:
    """The rules that never admit a call of the route, in words."""
    for limit in limits:
        if limit.requests is not None and limit.mode == "enforce" and route.cost > limit.most:
            yield f"{whose.format('limit')} admits {limit.most} a {PERIOD_NAMES[limit.period_seconds]}"
    for quota in quotas:
        counts = quota.usage in (USAGE_REQUESTS, route.usage)
        if counts and quota.mode == "enforce" and route.cost > quota.units:
            yield f"{whose.format('quota')} admits {quota.units} a {quota.amount.window}"


def _public_problems(route: config.Route, path: Path) -> Iterator[Problem]:
    for index, limit in enumerate(config.listed(route.limits)):
        if unknown := IDENTITY_DIMENSIONS.intersection(dimensions(limit)):
            names = ", ".join(sorted(dimension.value for dimension in unknown))
            yield Problem(
                (*path, "limits", index),
                f"a public route knows no {names} to count by",
                "write `per: ip` or `per: route`",
            )
