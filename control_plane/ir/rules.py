"""Demands and limits: how the words of a route become what is asked of a caller and what is counted."""

import hashlib
import math
from collections.abc import Iterable

from control_plane.config import model as config
from control_plane.ir import model as ir

PERIOD_NAMES = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}


def accepted(route: config.Route, source: config.Config) -> tuple[str, ...] | None:
    """The credentials a route accepts, empty where it is public, None where nothing says."""
    auth = route.auth if route.auth is not None else source.defaults.auth
    if auth is None:
        return None
    return () if auth == "none" else tuple(sorted(set(auth)))


def demand(accept: tuple[str, ...], require: config.Require) -> ir.Demand | None:
    """What the caller must show; None where the route is public. The profile's name is a hash of its content."""
    if not accept:
        return None
    scopes, roles, plans = (tuple(sorted(set(words))) for words in (require.scopes, require.roles, require.plans))
    report = require.mode == "report"
    content = [*accept, "", *scopes, "", *roles]
    if plans or report:
        content += ["", *plans, "", require.mode]
    profile = "p-" + hashlib.blake2b("\0".join(content).encode(), digest_size=6).hexdigest()
    return ir.Demand(profile, accept, scopes, roles, plans, report)


def limits_of(items: Iterable[config.Limit], owner: str) -> tuple[ir.Limit, ...]:
    """The limits of a route or plan, in the order of their ids."""
    return tuple(sorted((limit_of(item, owner) for item in items), key=lambda limit: limit.id))


def limit_of(item: config.Limit, owner: str) -> ir.Limit:
    """A limit whose id says what it counts, so that neither an edit elsewhere nor a new number resets its counters."""
    per = tuple(sorted(dimensions(item), key=lambda dimension: dimension.value))
    period = PERIOD_NAMES[item.requests.period_seconds]
    rule = f"{owner}:{period}:{'+'.join(dimension.value for dimension in per)}"
    local = item.scope == "instance"
    name = f"{rule}:instance" if local else rule
    return ir.Limit(name, item.requests.requests, item.requests.period_seconds, per, local=local)


def counted(own: Iterable[ir.Limit], source: config.Config, *, public: bool, local: bool) -> bool:
    """Whether limits of this scope, a route's own or a plan's, may apply to its calls."""
    scope = "instance" if local else "fleet"
    return any(limit.local == local for limit in own) or (not public and scope in plan_scopes(source))


def plan_scopes(source: config.Config) -> frozenset[str]:
    """Who counts what plans limit; nobody where they limit nothing."""
    return frozenset(limit.scope for plan in source.plans.values() for limit in plan.limits)


def dearest_call(source: config.Config) -> float:
    """The most that a call may cost without being more than some plan ever admits."""
    return min((limit.requests.requests for plan in source.plans.values() for limit in plan.limits), default=math.inf)


def dimensions(item: config.Limit) -> frozenset[ir.Dimension]:
    """What a limit counts apart."""
    words = (item.per,) if isinstance(item.per, str) else item.per
    return frozenset(ir.Dimension(word) for word in words)
