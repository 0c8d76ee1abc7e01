"""Metered routes whose tokens could not be counted, or would be counted otherwise than they read."""

from collections.abc import Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.ir.metering import api_of

BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
# What has no meaning to an API.
IDLE = {"embeddings": ("most", "upstream_takes", "request_usage"), "ollama": ("upstream_takes", "request_usage")}
ENCODINGS = "accept-encoding"
# Why a key cannot stand beside `tokens`.
CONTRADICTIONS = (
    ("websocket", "what crosses a WebSocket tells no usage"),
    ("cache", "what a kept answer came to is not what the call costs"),
)
# What the gateway itself writes into bodies, or reads there before they are changed.
OWN_FIELDS = frozenset(
    {"max_tokens", "max_completion_tokens", "n", "best_of", "options", "prompt", "stream", "stream_options"}
)


def metering_problems(route: config.Route, path: Path) -> Iterator[Problem]:
    """What keeps a route's tokens from being counted."""
    if route.tokens is None:
        return
    at: Path = (*path, "tokens")
    if not route.upstreams:
        yield Problem(at, "the gateway answers, and its answers have no tokens", "drop it, or write `upstream`")
        return
    yield from _path_problems(route, path)
    for key in IDLE.get(api_of(route) or "", ()):
        if key in route.tokens.model_fields_set:
            yield Problem((*at, key), f"does nothing beside `api: {api_of(route)}`", "drop it")
    yield from _contradictions(route, path)
    if route.request_body is not None:
        yield from _body_problems(route.request_body, (*path, "request_body", "merge"))


def _contradictions(route: config.Route, path: Path) -> Iterator[Problem]:
    for key, reason in CONTRADICTIONS:
        if getattr(route, key):
            yield Problem((*path, "tokens"), reason, f"drop it, or `{key}`")
    if without_body := sorted(BODILESS.intersection(route.match.methods)):
        yield Problem((*path, "match", "methods"), f"no JSON comes with {without_body[0]}", "write [POST]")
    for key in ("set", "add"):
        if ENCODINGS in getattr(route.request_headers, key):
            yield Problem(
                (*path, "request_headers", key, ENCODINGS),
                "no usage can be read of an answer that is compressed",
                "drop it",
            )


def _path_problems(route: config.Route, path: Path) -> Iterator[Problem]:
    written = route.match.path
    if written is None or written.endswith("/*"):
        yield Problem(
            (*path, "match"), "what the fields of a body mean depends on the path", "write a route with `tokens` a path"
        )
    elif api_of(route) is None:
        apis = ", ".join(dict.fromkeys(api for _, api in config.API_PATHS))
        yield Problem(
            (*path, "tokens"), f"the path {written!r} does not say whose fields bodies have", f"write `api`: {apis}"
        )


def _body_problems(changes: config.BodyChanges, at: Path) -> Iterator[Problem]:
    for key in changes.merge:
        if key in OWN_FIELDS:
            yield Problem((*at, key), "`tokens` decides what stands there", "drop it, or `tokens`")
