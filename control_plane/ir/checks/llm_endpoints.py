"""Routes that are written where models are called, or asked for.

On any host the endpoints win, as they are the most specific, so a route that is meant for one would never get to it. A
route with `hosts` wins on these, over endpoints too: what is another site there is so for all of its paths.
"""

from collections.abc import Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.ir import model as ir
from control_plane.ir.checks.tokens import is_meant_for, takes
from control_plane.ir.llm.endpoints import LIST, NOT_OFFERED_BELOW, endpoints, has_models, paths
from control_plane.ir.routes import path_match


def endpoint_of_models_problems(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    """A route that is meant for the path of an endpoint, or takes calls past the models to who answers them."""
    if not has_models(source):
        return
    match = path_match(route.match)
    taken = _meant(source, match)
    if taken is not None:
        key = "path_regex" if match.kind is ir.PathKind.REGEX else "path"
        yield Problem(
            (*path, "match", key),
            f"{taken!r} is answered by the gateway, since there are models",
            "drop the route, and name who answers in `models`; or choose another path",
        )
    elif (call := _taken_call(source, route)) is not None:
        leads = next((name for name in route.upstreams if name in upstreams_of_models(source)), None)
        if leads is not None:
            message = f"on these hosts it takes {call!r}, and brings calls to {leads!r} that no model's rules are for"
            yield Problem((*path, "match", "hosts"), message, "drop `hosts`, choose another path, or another upstream")


def endpoints_taken(source: config.Config) -> Iterator[tuple[int, str]]:
    """Places of routes that take calls of models on their hosts, with a path of those; not of whole hosts."""
    if not has_models(source):
        return
    for index, route in enumerate(source.routes):
        call = _taken_call(source, route)
        if call is not None and route.match.path != "/*":
            yield index, call


def upstreams_of_models(source: config.Config) -> frozenset[str]:
    """Those that models name, or that are asked for models."""
    asked = () if source.discovery is None else source.discovery.upstreams
    return frozenset(asked).union(*(model.upstreams for model in source.models))


def _meant(source: config.Config, match: ir.PathMatch) -> str | None:
    for below in (LIST, *(NOT_OFFERED_BELOW if source.llm.ollama else ())):
        if is_meant_for(match, f"{below}/any") and match.kind is not ir.PathKind.PREFIX:
            return f"{below}/..."
        if match.kind is not ir.PathKind.REGEX and f"{match.text}/".startswith(f"{below}/"):
            return below if match.text == below else f"{below}/..."
    if match.kind is ir.PathKind.PREFIX:
        return match.text if match.text in paths(source) else None
    return next((item for item in paths(source) if is_meant_for(match, item)), None)


def _taken_call(source: config.Config, route: config.Route) -> str | None:
    """The path of calls that the route takes on its hosts."""
    if not route.match.hosts or (route.match.methods and "POST" not in route.match.methods):
        return None
    match = path_match(route.match)
    return next((item.path for item in endpoints(source.llm) if takes(match, item.path)), None)
