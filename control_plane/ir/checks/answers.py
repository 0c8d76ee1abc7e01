"""Who answers: keys that nothing would act on, shares of nothing, and upstreams that want different things."""

from collections.abc import Callable, Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.config.values import written_duration
from control_plane.ir.routes import DEFAULT_TIMEOUT, host_of

# Keys that act on the way to an upstream, beside those of shaping.py. Envoy answers before it reads a body, counts or
# waits.
OF_FORWARDING = (
    "rewrite", "rewrite_regex", "mirror", "limits", "request_headers", "retries", "timeout", "streaming", "websocket",
    "idle_timeout", "max_duration", "body_limit",
)  # fmt: skip
# What a route takes from its upstream where it says nothing, by the route's key.
INHERITED: dict[str, Callable[[config.Upstream], object]] = {
    "timeout": lambda upstream: upstream.timeout or DEFAULT_TIMEOUT,
    "retries": lambda upstream: upstream.retries,
}


def answer_problems(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    """What keeps the answer from being made as written; the upstreams exist."""
    if route.upstream is None:
        answer = "redirect" if route.redirect is not None else "respond"
        for key in OF_FORWARDING:
            if key in route.model_fields_set:
                yield Problem((*path, key), f"does nothing beside `{answer}`, which the gateway answers", "drop it")
        return
    yield from _try_problems(route, source, path)
    yield from _idle_keys(route, source, path)
    if not isinstance(route.upstream, str):
        yield from _share_problems(route.upstream, (*path, "upstream"))
        yield from _disagreements(source, route, path)


def _try_problems(route: config.Route, source: config.Config, path: Path) -> Iterator[Problem]:
    """A try that may last as long as the whole is never cut, and leaves no time for another."""
    if route.retries is None or route.retries.per_try_timeout is None or route.streaming or route.websocket:
        return
    whole = route.timeout or source.upstreams[route.upstreams[0]].timeout or DEFAULT_TIMEOUT
    if route.retries.per_try_timeout >= whole:
        message = f"the whole answer has {written_duration(whole)}, so no try lasts that long"
        yield Problem((*path, "retries", "per_try_timeout"), message, "make it shorter, or `timeout` longer")


def _idle_keys(route: config.Route, source: config.Config, path: Path) -> Iterator[Problem]:
    """Keys that would never act."""
    speaks = {source.upstreams[name].protocol for name in route.upstreams}
    if route.websocket and "http2" in speaks:
        message = "a WebSocket is a matter of HTTP/1.1, and the upstream speaks HTTP/2"
        yield Problem((*path, "websocket"), message, "make another upstream of it, with `protocol: http1`")


def _share_problems(shares: tuple[config.WeightedUpstream, ...], path: Path) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, item in enumerate(shares):
        if item.name in seen:
            yield Problem((*path, index, "name"), f"{item.name!r} stands twice", "add up the weights")
        seen.add(item.name)
    if not any(item.weight for item in shares):
        yield Problem(path, "all weights are 0", "give one upstream a weight")


def _disagreements(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    """A route has one timeout, and so on; it cannot take several from its upstreams."""
    upstreams = [source.upstreams[name] for name in route.upstreams]
    first = upstreams[0]
    for key, of in INHERITED.items():
        if getattr(route, key) is None and any(of(other) != of(first) for other in upstreams):
            yield Problem((*path, "upstream"), f"the upstreams have different `{key}`", f"write `{key}` at the route")
    if len({other.load_balancing.hash_by for other in upstreams} - {None}) > 1:
        yield Problem((*path, "upstream"), "the upstreams hash by different things", "give them the same `hash_by`")
    hosts = [host_of(other) for other in upstreams]
    if "upstream" in hosts and len(set(hosts)) > 1:
        name = route.upstreams[hosts.index("upstream")]
        message = f"the endpoints of {name!r} have different hosts, and another upstream gets another one"
        yield Problem((*path, "upstream"), message, f"write `host_header` at {name!r}")
