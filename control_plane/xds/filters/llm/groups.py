"""Routes of which the body, or the caller's plan, says which one serves a request.

Envoy turns filters on and off by the route that it chose before it read the body: the last of a group, which takes what
no other one does. So that one turns on whatever any of them needs; what a filter is told is the word of the final one.
"""

from control_plane.ir.model import Dialect, DirectResponse, Gateway, Route

OLLAMA_PATHS = "/api/"


def is_last(route: Route) -> bool:
    """Whether the route takes the requests of a group before their bodies are read, and those that nobody takes."""
    return route.asked is not None and not route.asked.names and not route.asked.unnamed


def in_a_group(route: Route | None) -> bool:
    """Whether the route's requests are chosen by what their bodies say."""
    return route is not None and route.asked is not None


def by_name(route: Route) -> bool:
    """Whether bodies may say `name` in place of `model`: where older clients of Ollama ask about one."""
    return isinstance(route.action, DirectResponse)


def dialect(route: Route) -> Dialect | None:
    """Whose errors a client of this route understands; None where that is nobody's but ours.

    Names that the configuration gives hold no colon: what has one is an answer about models.
    """
    if route.model is not None:
        return route.model.dialect
    listed = isinstance(route.action, DirectResponse) and ":" in route.name
    return of_path(route) if in_a_group(route) or listed else None


def of_path(route: Route) -> Dialect:
    """Whose API the path is of."""
    return Dialect.OLLAMA if route.path.text.startswith(OLLAMA_PATHS) else Dialect.OPENAI


def has_groups(gateway: Gateway) -> bool:
    """Whether bodies choose routes here."""
    return any(route.asked is not None for route in gateway.routes)
