"""Answers that may not be kept, or would be kept past what the route says.

Envoy fetches by itself what it keeps, past the route's own action: paths, headers and timeouts would be as the client
sent them, and nothing would be hashed. And it finds answers by scheme, host, path and query alone, whichever route
asks: so whatever tells two routes that keep answers apart must stand in these.
"""

from collections.abc import Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.ir.rules import accepted

# Of which Envoy serves both from the same answer.
READING = frozenset({"GET", "HEAD"})
PASSED_BY = (
    "rewrite",
    "rewrite_regex",
    "mirror",
    "request_headers",
    "response_headers",
    "request_body",
    "retries",
    "streaming",
    "websocket",
)
DROP = "drop it, or `cache`"


def cache_problems(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    """What keeps the answers of a route from being kept as written."""
    if route.cache is not None and route.upstream is not None:
        yield from _route_problems(source, route, path, route.cache)


def _route_problems(source: config.Config, route: config.Route, path: Path, cache: config.Cache) -> Iterator[Problem]:
    if accepted(route, source) and not cache.shared:
        yield Problem(
            (*path, "cache"),
            "an answer for one caller would be served to others",
            "write `cache: {shared: true}` if all may get the same, or `auth: none`",
        )
    for key in PASSED_BY:
        if key in route.model_fields_set and getattr(route, key):
            yield Problem((*path, key), "does not act where answers are kept: Envoy fetches them by itself", DROP)
    if route.match.methods and not READING.issubset(route.match.methods):
        yield Problem((*path, "match", "methods"), "answers are kept for GET and HEAD together", "name both, or none")
    if route.match.headers:
        yield Problem((*path, "match", "headers"), "kept answers are found by host, path and query alone", DROP)
    yield from _upstream_problems(source, route, path)


def _upstream_problems(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    if not isinstance(route.upstream, str):
        yield Problem((*path, "upstream"), "kept answers come from one upstream", "name one")
        return
    upstream = source.upstreams.get(route.upstream)
    if upstream is None:
        return  # said elsewhere
    changed = {
        "a path": any(address.path for address in upstream.addresses),
        "a host of its own": upstream.host_header not in (None, "client") or any(a.tls for a in upstream.addresses),
        "retries": upstream.retries is not None,
        "`hash_by`": upstream.load_balancing.hash_by is not None,
    }
    for what, found in changed.items():
        if found:
            yield Problem(
                (*path, "cache"),
                f"the upstream has {what}, which does not act where answers are kept",
                "make another upstream of it, or drop `cache`",
            )
