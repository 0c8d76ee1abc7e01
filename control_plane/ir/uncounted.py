"""Routes that are written to a server of models: what is called there is no model of the configuration.

So nobody counts its tokens where the route does not, and what plans and keys may call is not looked at.
"""

from collections.abc import Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.ir.checks.llm_endpoints import upstreams_of_models


def ways_past_models(source: config.Config) -> Iterator[Problem]:
    """Doubtful routes; one that takes no POST calls no model."""
    servers = upstreams_of_models(source) | {name for name, item in source.upstreams.items() if item.api is not None}
    for index, route in enumerate(source.routes):
        if route.match.methods and "POST" not in route.match.methods:
            continue
        server = next((name for name in route.upstreams if name in servers), None)
        if server is not None:
            yield from _past(source, route, server, ("routes", index, "upstream"))
        if route.mirror is not None and route.mirror.upstream in servers:
            message = f"copies reach models of {route.mirror.upstream!r}, and nobody counts their tokens"
            yield Problem(("routes", index, "mirror"), message, "mirror to an upstream that has no models")


def _past(source: config.Config, route: config.Route, server: str, path: Path) -> Iterator[Problem]:
    if route.tokens is None:
        cure = "write `tokens` at the route, or let clients call `models`; `methods: [GET]` if no model is called"
        yield Problem(path, f"it reaches models of {server!r}, and nobody counts the tokens", cure)
    elif _restricts(source):
        message = f"it reaches models of {server!r}, whatever `models` of plans and keys say"
        yield Problem(path, message, "let clients call `models`, or write `require: {plans: [NAME]}` at the route")


def _restricts(source: config.Config) -> bool:
    keys = (key.models for consumer in source.consumers for key in consumer.keys)
    return any(models is not None for models in (*(plan.models for plan in source.plans.values()), *keys))
