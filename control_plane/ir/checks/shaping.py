"""What shapes traffic on routes where it could not act, or would act otherwise than it reads."""

from collections.abc import Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem

# Keys that shape what goes to an upstream and comes from it, and do nothing where the gateway answers by itself.
OF_UPSTREAMS = ("cors", "request_body", "bandwidth", "fault", "adaptive_concurrency", "cache")
# Why a key cannot stand beside another one on a route.
CONTRADICTIONS = (
    ("request_body", "websocket", "a WebSocket begins without a body"),
    ("adaptive_concurrency", "websocket", "how long a WebSocket lives says nothing about load"),
    ("adaptive_concurrency", "streaming", "how long a stream lasts says nothing about load"),
)
BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


def shaping_problems(route: config.Route, path: Path) -> Iterator[Problem]:
    """What keeps the traffic of a route from being shaped as written."""
    yield from _without_upstream(route, path)
    yield from _contradictions(route, path)


def _without_upstream(route: config.Route, path: Path) -> Iterator[Problem]:
    answer = "redirect" if route.redirect is not None else "respond"
    if route.upstream is not None:
        return
    for key in (*OF_UPSTREAMS, "cost"):
        if key in route.model_fields_set:
            yield Problem((*path, key), f"does nothing beside `{answer}`, which the gateway answers", "drop it")


def _contradictions(route: config.Route, path: Path) -> Iterator[Problem]:
    for key, other, reason in CONTRADICTIONS:
        if getattr(route, key) is not None and getattr(route, other):
            yield Problem((*path, key), reason, f"drop it, or `{other}`")
    if route.request_body is not None and route.match.methods and BODILESS.issuperset(route.match.methods):
        yield Problem(
            (*path, "request_body"),
            f"no body comes with {' or '.join(route.match.methods)}",
            "name methods that have one",
        )
