"""Builds the intermediate representation: references resolved, defaults filled in, routes in matching order."""

from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.config import model as config
from control_plane.config.authorities import SYSTEM_CA
from control_plane.config.errors import Problem
from control_plane.ir import model as ir
from control_plane.ir.checks.routes import clashes
from control_plane.ir.checks.whole import problems
from control_plane.ir.identity import bearer_token, jwt_issuer
from control_plane.ir.listeners import listener
from control_plane.ir.order import ordered
from control_plane.ir.routes import route
from control_plane.ir.rules import limits_of
from control_plane.ir.upstreams import upstream


@dataclass(frozen=True)
class Built:
    """The gateway, or the problems that keep it from being one."""

    gateway: ir.Gateway | None
    problems: tuple[Problem, ...]


def build(source: config.Config, files: Mapping[str, bytes]) -> Built:
    """The gateway of this configuration; `files` holds the content of each file it refers to."""
    if found := tuple(problems(source, files)):
        return Built(None, found)
    routes = tuple(route(written, source) for written in source.routes)
    if found := tuple(clashes(routes, source)):
        return Built(None, found)
    return Built(_gateway(source, routes, files), ())


def _gateway(source: config.Config, routes: tuple[ir.Route, ...], files: Mapping[str, bytes]) -> ir.Gateway:
    cached = {name for written in source.routes if written.cache is not None for name in written.upstreams}
    mirrors = {written.mirror.upstream for written in source.routes if written.mirror is not None}
    return ir.Gateway(
        listeners=tuple(listener(name, written) for name, written in sorted(source.listeners.items())),
        upstreams=tuple(
            upstream(name, written, cached=name in cached, mirrors=name in mirrors)
            for name, written in sorted(source.upstreams.items())
        ),
        routes=ordered(routes),
        jwt=tuple(jwt_issuer(issuer, files) for issuer in sorted(source.identity.jwt, key=_name)),
        bearer_tokens=tuple(bearer_token(token) for token in sorted(source.identity.bearer_tokens, key=_name)),
        plans=tuple(
            ir.Plan(name, limits_of(plan.limits, f"plan/{name}")) for name, plan in sorted(source.plans.items())
        ),
        consumers=tuple(
            ir.Consumer(consumer.name, consumer.tenant, consumer.plan)
            for consumer in sorted(source.consumers, key=_name)
        ),
        default_plan=source.defaults.plan,
        system_ca=files.get(SYSTEM_CA, b"").decode(errors="replace"),  # comments between them
    )


def _name(item: config.Named) -> str:
    return item.name
