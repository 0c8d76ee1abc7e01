"""Demands: how the words of a route become what is asked of a caller."""

import hashlib

from control_plane.config import model as config
from control_plane.ir import model as ir


def accepted(route: config.Route | config.Llm, source: config.Config) -> tuple[str, ...] | None:
    """The credentials that a route accepts, or all calls of models; empty where public, None where nothing says."""
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
