"""Where each rule of a route is enforced: by which filter of Envoy, or by which service that it asks, in their order.

It says what the compiled gateway does, in the words of the configuration; no request is looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from control_plane.ir.model import Api, Demand, Forward, Gateway, Native, Redirect, Route
from control_plane.ir.native import OWN_NAME, judges_others, judges_own, native_marks
from control_plane.operations.counted import counted_by_fleet, counted_here
from control_plane.xds import names

ENVOY: Final = "envoy"
AUTHORIZER: Final = "authorizer"
RATE_LIMITS: Final = "rate limit service"
SIZES: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


@dataclass(frozen=True)
class Enforced:
    """A rule, who keeps it, and by which of Envoy's filters it is kept or asked about."""

    rule: str
    where: str
    filter: str


def enforcement(gateway: Gateway, route: Route) -> tuple[Enforced, ...]:
    """The rules of a route, in the order in which a request meets them."""
    return (
        *_before_identity(route),
        *_identity(gateway, route),
        *_model(route),
        *_metering(route),
        *_limits(gateway, route),
        *_shaping(route),
        Enforced(_answer(route), ENVOY, names.ROUTER),
    )


def _before_identity(route: Route) -> Iterator[Enforced]:
    if route.cors is not None:
        yield Enforced(f"pages of {', '.join(route.cors.origins)} may call it", ENVOY, names.CORS)
    if route.bounded:
        limit = f"request bodies of at most {_size(route.body_limit)}"
        yield Enforced(limit, ENVOY, names.body_limit(route.body_limit))
    if route.allow_ips:
        yield Enforced(f"clients of {', '.join(route.allow_ips)} only", ENVOY, names.IP_LIST)


def _identity(gateway: Gateway, route: Route) -> Iterator[Enforced]:
    if route.demand is None:
        yield Enforced("nobody is asked who calls", ENVOY, names.PROFILE_GUARD)
        return
    permissions = list(_permissions(route.demand))
    if route.native is not None:
        yield from _native(gateway, route.native, permissions)
    else_ = "" if route.native is None else "all that Envoy does not let pass: "
    yield Enforced(f"{else_}a credential: {' or '.join(route.demand.accept)}", AUTHORIZER, names.EXT_AUTHZ)
    if gateway.plans:
        yield Enforced(f"{else_}a plan that is declared", AUTHORIZER, names.EXT_AUTHZ)
    yield from (Enforced(f"{else_}{permission}", AUTHORIZER, names.EXT_AUTHZ) for permission in permissions)
    if route.native is not None and not route.native.forward:
        yield Enforced("the token is not for the upstream", ENVOY, names.NATIVE_CREDENTIAL)
    yield Enforced("only what was authorized for this route", ENVOY, names.PROFILE_GUARD)


def _permissions(demand: Demand) -> Iterator[str]:
    reported = ", reported only" if demand.report else ""
    if demand.plans:
        yield f"one of the plans {', '.join(demand.plans)}{reported}"
    if demand.scopes:
        yield f"the scopes {', '.join(demand.scopes)}{reported}"
    if demand.roles:
        yield f"one of the roles {', '.join(demand.roles)}{reported}"


def _native(gateway: Gateway, native: Native, permissions: list[str]) -> Iterator[Enforced]:
    others = [issuer.name for issuer in native_marks(gateway).values()] if judges_others(native) else []
    own = [OWN_NAME] if judges_own(native) else []
    plan = ", a plan that is declared" if gateway.plans else ""
    if others:
        tokens = _tokens_of(others)
        yield Enforced(f"{tokens}: signature, issuer, audience", ENVOY, names.JWT_AUTHN)
        yield Enforced(f"{tokens}: algorithm, key, dates, claims{plan}", ENVOY, names.NATIVE_TOKEN)
    if own:
        tokens = _tokens_of(own)
        yield Enforced(f"{tokens}: signature, issuer, audience", ENVOY, names.OWN_SIGNATURE)
        yield Enforced(f"{tokens}: key, dates, an API key that lives{plan}", ENVOY, names.OWN_TOKEN)
    tokens = _tokens_of([*others, *own])
    yield from (Enforced(f"{tokens}: {permission}", ENVOY, names.NATIVE_GRANT) for permission in permissions)


def _tokens_of(issuers: list[str]) -> str:
    return f"tokens of {', '.join(issuers)}"


def _model(route: Route) -> Iterator[Enforced]:
    if route.model is None:
        return
    if (plans := route.model.plans) is not None:
        rule = f"one of the plans that may call the model: {', '.join(plans) or 'none'}"
        yield Enforced(rule, ENVOY, names.MODEL_GUARD)
    yield Enforced("of API keys for some models alone those that name it", ENVOY, names.MODEL_GUARD)
    if route.model.refused:
        yield Enforced(f"calls without {', '.join(route.model.refused)}", ENVOY, names.TOKEN_GUARD)


def _metering(route: Route) -> Iterator[Enforced]:
    if route.tokens is None:
        return
    bounded = "" if route.tokens.api is Api.EMBEDDINGS else f": answers of at most {route.tokens.most} tokens"
    yield Enforced(f"calls whose tokens can be counted{bounded}", ENVOY, names.TOKEN_GUARD)


def _limits(gateway: Gateway, route: Route) -> Iterator[Enforced]:
    """Those of each Envoy first: what it refuses is not counted by the others."""
    if route.forward is None:
        return
    if route.exempt:
        yield Enforced("no rule of a plan, consumer or tenant counts it", ENVOY, names.RATELIMIT)
    yield from (Enforced(rule, ENVOY, names.INSTANCE_LIMITS) for rule in counted_here(gateway, route))
    yield from (Enforced(rule, RATE_LIMITS, names.RATELIMIT) for rule in counted_by_fleet(gateway, route))


def _shaping(route: Route) -> Iterator[Enforced]:
    if route.body_merge or route.tokens is not None:
        yield Enforced("JSON bodies are changed", ENVOY, names.BODY_REWRITE)
        yield Enforced("bodies that could not be changed go nowhere", ENVOY, names.BODY_GUARD)
    if route.fault is not None:
        yield Enforced("trouble on purpose", ENVOY, names.FAULT)
    if route.adaptive_concurrency is not None:
        yield Enforced("requests under way, by their latency", ENVOY, names.adaptive_concurrency(route.name))
    if route.bandwidth is not None:
        for direction in ("upload", "download"):
            if (rate := getattr(route.bandwidth, direction)) is not None:
                rule = f"{direction}: {_size(rate)} a second"
                yield Enforced(rule, ENVOY, names.bandwidth(route.name, direction))
    if route.cached:
        yield Enforced("answers are kept", ENVOY, names.CACHE)


def _answer(route: Route) -> str:
    match route.action:
        case Forward(destinations=destinations, fallback=fallback):
            groups = (", ".join(one.upstream for one in group) for group in (destinations, *fallback))
            return f"goes to {', then '.join(groups)}"
        case Redirect(status=status):
            return f"redirects with {status}"
        case _:
            return f"answers {route.action.status}"


def _size(size: int) -> str:
    return next((f"{size // unit} {name}" for unit, name in SIZES if size % unit == 0), f"{size} bytes")
