"""Routes as they are meant: defaults filled in, every choice of words resolved."""

import json
from collections.abc import Iterable, Mapping

from control_plane.config import model as config
from control_plane.config.values import authority
from control_plane.ir import model as ir
from control_plane.ir.limits import Counted, limits_of
from control_plane.ir.metering import metering
from control_plane.ir.native import judged_by_envoy
from control_plane.ir.rules import accepted, demand
from service_kit.contract import route_limits_name

DEFAULT_TIMEOUT = 30.0
# Longest silence, in seconds: of a plain answer or a stream, and of a WebSocket.
IDLE_TIMEOUT = 60.0
WEBSOCKET_IDLE_TIMEOUT = 300.0


def route(written: config.Route, source: config.Config, callers: Counted, native: ir.Native | None = None) -> ir.Route:
    """The route; whatever it refers to exists. `native` is what Envoy may judge itself."""
    asked = demand(accepted(written, source) or (), written.require)
    own_limits = limits_of(config.listed(written.limits), route_limits_name(written.name))
    action = _action(written, source)
    return ir.Route(
        name=written.name,
        path=path_match(written.match),
        action=action,
        body_limit=written.body_limit,
        methods=tuple(sorted(written.match.methods)),
        hosts=tuple(sorted(written.match.hosts)),
        headers=_conditions(written.match.headers),
        query=_conditions(written.match.query),
        priority=written.match.priority,
        demand=asked,
        native=judged_by_envoy(asked, native),
        allow_ips=tuple(sorted(written.allow_ips)),
        limits=own_limits,
        exempt=written.exempt,
        asks_limiter=_asks_limiter(written, own_limits, callers, public=asked is None),
        limited_here=_limited_here(written, own_limits, callers, public=asked is None),
        holds=_holds(written, own_limits, callers, public=asked is None),
        cost=written.cost,
        usage=written.usage or "",
        tokens=metering(written),
        request_headers=changes(written.request_headers),
        response_headers=changes(written.response_headers),
        body_merge="" if written.request_body is None else _json(written.request_body.merge),
        cors=cors(written.cors, written.match.methods),
        bandwidth=_bandwidth(written.bandwidth),
        fault=_fault(written.fault),
        adaptive_concurrency=_adaptive_concurrency(written.adaptive_concurrency),
        cached=written.cache is not None,
    )


def _asks_limiter(written: config.Route, own_limits: Iterable[ir.Limit], callers: Counted, *, public: bool) -> bool:
    """Envoy makes no rate-limit call where it answers by itself."""
    if not written.upstreams or written.exempt:
        return False
    return any(not limit.local for limit in own_limits) or (not public and callers.counts(written))


def _limited_here(written: config.Route, own_limits: Iterable[ir.Limit], callers: Counted, *, public: bool) -> bool:
    if not written.upstreams or written.exempt:
        return False
    return any(limit.local for limit in own_limits) or (not public and callers.here)


def _holds(written: config.Route, own_limits: Iterable[ir.Limit], callers: Counted, *, public: bool) -> bool:
    if not _asks_limiter(written, own_limits, callers, public=public):
        return False
    concurrent = any(limit.unit is ir.Unit.CONCURRENT for limit in own_limits)
    return written.tokens is not None or concurrent or (not public and callers.concurrent)


def path_match(match: config.Match) -> ir.PathMatch:
    """Which paths a route takes."""
    if match.path is None:
        return ir.PathMatch(match.path_regex or "", ir.PathKind.REGEX)
    if match.path.endswith("/*"):
        return ir.PathMatch(match.path.removesuffix("/*") or "/", ir.PathKind.PREFIX)
    return ir.PathMatch(match.path, ir.PathKind.TEMPLATE if "{" in match.path else ir.PathKind.EXACT)


def _conditions(tests: Mapping[str, str | config.TextMatch]) -> tuple[ir.Condition, ...]:
    return tuple(_condition(name, test) for name, test in sorted(tests.items()))


def _condition(name: str, test: str | config.TextMatch) -> ir.Condition:
    if isinstance(test, str):
        return ir.Condition(name, ir.TestKind.EXACT, test)
    ((key, value),) = test.model_dump(exclude_unset=True).items()
    if key == "present":
        return ir.Condition(name, ir.TestKind.PRESENT if value else ir.TestKind.ABSENT)
    return ir.Condition(name, ir.TestKind(key), value)


def _action(written: config.Route, source: config.Config) -> ir.Forward | ir.Redirect | ir.DirectResponse:
    if written.redirect is not None:
        return ir.Redirect(**written.redirect.model_dump())
    if written.respond is not None:
        return ir.DirectResponse(**written.respond.model_dump())
    upstreams = [source.upstreams[name] for name in written.upstreams]
    hashed = {upstream.load_balancing.hash_by for upstream in upstreams} - {None}
    return ir.Forward(
        destinations=tuple(_destinations(written, source)),
        timeouts=_timeouts(written, upstreams[0]),
        rewrite=_rewrite(written, upstreams[0]),
        mirror=_mirror(written.mirror, source),
        retries=retries(written.retries or upstreams[0].retries),
        websocket=written.websocket,
        endless_requests=_is_endless(written, upstreams),
        hash_by=tuple(sorted(key for key in hashed if key)),
    )


def _mirror(written: config.Mirror | None, source: config.Config) -> ir.Mirror | None:
    if written is None:
        return None
    return ir.Mirror(written.upstream, written.percent, host_of(source.upstreams[written.upstream]))


def _is_endless(written: config.Route, upstreams: Iterable[config.Upstream]) -> bool:
    """Calls of gRPC may stream both ways; a limit that is written holds all the same."""
    grpc = all(upstream.protocol == "http2" for upstream in upstreams)
    return grpc and written.streaming and "body_limit" not in written.model_fields_set


def _destinations(written: config.Route, source: config.Config) -> Iterable[ir.Destination]:
    if isinstance(written.upstream, str):
        yield ir.Destination(written.upstream, host=host_of(source.upstreams[written.upstream]))
        return
    for item in sorted(written.upstream or (), key=lambda it: it.name):
        yield ir.Destination(item.name, item.weight, host_of(source.upstreams[item.name]))


def host_of(upstream: config.Upstream) -> str | None:
    """By default a public service gets its own name, which it needs to be found; one of our own gets the client's."""
    written = upstream.host_header
    if written is None:
        named = not all(ir.is_ip_address(at.host) for at in upstream.addresses)
        written = "upstream" if upstream.addresses[0].tls and named else "client"
    if written == "client":
        return None
    own = {authority(at.host, at.port, tls=at.tls) for at in upstream.addresses}
    return own.pop() if written == "upstream" and len(own) == 1 else written


def _rewrite(written: config.Route, upstream: config.Upstream) -> ir.Rewrite:
    base = upstream.addresses[0].path
    if written.rewrite_regex is not None:
        return ir.Rewrite(written.rewrite_regex.substitution, written.rewrite_regex.pattern, base)
    return ir.Rewrite(written.rewrite, base=base)


def _timeouts(written: config.Route, upstream: config.Upstream) -> ir.Timeouts:
    answer = written.timeout or upstream.timeout or DEFAULT_TIMEOUT
    streams = written.streaming or written.websocket
    return ir.Timeouts(
        total=None if streams else answer,
        first_byte=answer if streams else None,
        idle=written.idle_timeout or (WEBSOCKET_IDLE_TIMEOUT if written.websocket else max(IDLE_TIMEOUT, answer)),
        # Where answers are kept, Envoy fetches past the timeouts of the route; how long a request lives is its own.
        max_duration=written.max_duration if written.cache is None else min(answer, written.max_duration or answer),
    )


def retries(written: config.Retries | None) -> ir.Retries | None:
    """When a request is tried again."""
    if written is None:
        return None
    return ir.Retries(
        attempts=written.attempts,
        on=tuple(sorted(reason for reason in written.on if isinstance(reason, str))),
        statuses=tuple(sorted(reason for reason in written.on if isinstance(reason, int))),
        methods=tuple(sorted(written.methods)),
        per_try_timeout=written.per_try_timeout,
        backoff=written.backoff,
        max_backoff=written.max_backoff,
    )


def changes(written: config.HeaderChanges) -> ir.HeaderChanges:
    """What happens to headers."""
    return ir.HeaderChanges(
        set=tuple(sorted(written.set.items())),
        add=tuple(sorted(written.add.items())),
        remove=tuple(sorted(written.remove)),
    )


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def cors(written: config.Cors | None, methods: Iterable[str]) -> ir.Cors | None:
    """The rules for pages; methods are those of the route where they name none."""
    if written is None:
        return None
    return ir.Cors(
        origins=tuple(sorted(written.origins)),
        methods=tuple(sorted(written.methods or methods)),
        headers=tuple(sorted(written.headers)),
        expose=tuple(sorted(written.expose)),
        credentials=written.credentials,
        max_age=int(written.max_age),
    )


def _bandwidth(written: config.Bandwidth | None) -> ir.Bandwidth | None:
    return None if written is None else ir.Bandwidth(written.upload, written.download)


def _fault(written: config.Fault | None) -> ir.Fault | None:
    if written is None:
        return None
    delay, abort = written.delay, written.abort
    return ir.Fault(
        delay=delay.duration if delay else None,
        delay_percent=delay.percent if delay else 0,
        abort_status=abort.status if abort else None,
        abort_percent=abort.percent if abort else 0,
    )


def _adaptive_concurrency(written: config.AdaptiveConcurrency | None) -> ir.AdaptiveConcurrency | None:
    return None if written is None else ir.AdaptiveConcurrency(**dict(written))
