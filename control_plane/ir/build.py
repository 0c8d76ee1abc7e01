"""Builds the intermediate representation: references resolved, defaults filled in, routes in matching order."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.config import model as config
from control_plane.config.errors import Problem
from control_plane.ir import model as ir
from control_plane.ir.checks import clashes, problems
from control_plane.ir.order import ordered
from control_plane.ir.rules import accepted, demand, limits_of

DEFAULT_TIMEOUT = 30.0
# Longest silence, in seconds: of a plain answer or a stream, and of a WebSocket.
IDLE_TIMEOUT = 60.0
WEBSOCKET_IDLE_TIMEOUT = 300.0


@dataclass(frozen=True)
class Built:
    """The gateway, or the problems that keep it from being one."""

    gateway: ir.Gateway | None
    problems: tuple[Problem, ...]


def build(source: config.Config, files: Mapping[str, bytes]) -> Built:
    """The gateway of this configuration; `files` holds the content of each file it refers to."""
    if found := tuple(problems(source, files)):
        return Built(None, found)
    routes = tuple(_route(route, source) for route in source.routes)
    if found := tuple(clashes(routes, source)):
        return Built(None, found)
    return Built(_gateway(source, routes, files), ())


def _gateway(source: config.Config, routes: tuple[ir.Route, ...], files: Mapping[str, bytes]) -> ir.Gateway:
    return ir.Gateway(
        listeners=tuple(
            ir.Listener(name, ir.Address(listener.address.host, listener.address.port))
            for name, listener in sorted(source.listeners.items())
        ),
        upstreams=tuple(_upstream(name, upstream) for name, upstream in sorted(source.upstreams.items())),
        routes=ordered(routes),
        jwt=tuple(_issuer(issuer, files) for issuer in sorted(source.identity.jwt, key=_name)),
        bearer_tokens=tuple(_bearer(token) for token in sorted(source.identity.bearer_tokens, key=_name)),
        plans=tuple(
            ir.Plan(name, limits_of(plan.limits, f"plan/{name}")) for name, plan in sorted(source.plans.items())
        ),
        consumers=tuple(
            ir.Consumer(consumer.name, consumer.tenant, consumer.plan)
            for consumer in sorted(source.consumers, key=_name)
        ),
        default_plan=source.defaults.plan,
    )


def _name(item: config.Named) -> str:
    return item.name


def _route(route: config.Route, source: config.Config) -> ir.Route:
    asked = demand(accepted(route, source) or (), route.require)
    own_limits = limits_of(route.limits, f"route/{route.name}")
    plan_limits = asked is not None and any(plan.limits for plan in source.plans.values())
    return ir.Route(
        name=route.name,
        path=_path(route.match.path),
        methods=tuple(sorted(route.match.methods)),
        hosts=tuple(sorted(route.match.hosts)),
        upstream=route.upstream,
        rewrite=route.rewrite,
        demand=asked,
        limits=own_limits,
        asks_limiter=bool(own_limits) or plan_limits,
        timeouts=_timeouts(route, source.upstreams[route.upstream]),
        websocket=route.websocket,
        body_limit=route.body_limit,
    )


def _path(text: str) -> ir.PathMatch:
    if text.endswith("/*"):
        return ir.PathMatch(text.removesuffix("/*") or "/", exact=False)
    return ir.PathMatch(text, exact=True)


def _timeouts(route: config.Route, upstream: config.Upstream) -> ir.Timeouts:
    answer = route.timeout or upstream.timeout or DEFAULT_TIMEOUT
    streams = route.streaming or route.websocket
    return ir.Timeouts(
        total=None if streams else answer,
        first_byte=answer if streams else None,
        idle=route.idle_timeout or (WEBSOCKET_IDLE_TIMEOUT if route.websocket else max(IDLE_TIMEOUT, answer)),
        max_duration=route.max_duration,
    )


def _upstream(name: str, upstream: config.Upstream) -> ir.Upstream:
    urls = upstream.endpoints if upstream.url is None else (upstream.url,)
    endpoints = tuple(sorted({ir.Address(url.host, url.port) for url in urls}, key=lambda it: (it.host, it.port)))
    return ir.Upstream(name, endpoints, upstream.connect_timeout)


def _issuer(issuer: config.JwtIssuer, files: Mapping[str, bytes]) -> ir.JwtIssuer:
    keys = issuer.keys
    return ir.JwtIssuer(
        name=issuer.name,
        issuer=issuer.issuer,
        audiences=tuple(sorted(issuer.audiences)),
        algorithms=tuple(sorted(issuer.algorithms)),
        secret=ir.Secret(keys.secret.get_secret_value().encode()) if isinstance(keys, config.SecretKeys) else None,
        jwks=files[keys.file].decode() if isinstance(keys, config.FileKeys) else None,
        claims=ir.Claims(**issuer.claims.model_dump()),
        leeway=issuer.leeway,
        max_lifetime=issuer.max_lifetime,
        forward=issuer.forward,
    )


def _bearer(token: config.BearerToken) -> ir.BearerToken:
    return ir.BearerToken(
        name=token.name,
        sha256=hashlib.sha256(token.token.get_secret_value().encode()).digest(),
        subject=token.subject or token.name,
        tenant=token.tenant,
        consumer=token.consumer,
        plan=token.plan,
        scopes=tuple(sorted(token.scopes)),
        roles=tuple(sorted(token.roles)),
        forward=token.forward,
    )
