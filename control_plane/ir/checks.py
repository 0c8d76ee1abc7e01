"""What a well-formed configuration may still get wrong: references to nothing, rules that nothing could enforce."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem, did_you_mean
from control_plane.ir import model as ir
from control_plane.ir.order import indistinct
from control_plane.ir.rules import accepted, dimensions, limit_of
from service_kit.endpoint import TcpEndpoint
from service_kit.verification_keys import UnusableKeys, jwks_keys, secret_keys

IDENTITY_DIMENSIONS = frozenset({ir.Dimension.SUBJECT, ir.Dimension.TENANT, ir.Dimension.CONSUMER})
# Paths that Envoy itself answers on every listener.
RESERVED_PATHS = ("/health", "/readyz")
JWKS_CURE = "write a JSON Web Key Set (RFC 7517) with public keys for the algorithms named"


def problems(source: config.Config, files: Mapping[str, bytes]) -> Iterator[Problem]:
    """Everything that keeps this configuration from being enforced as written."""
    yield from _repeated_names(source)
    yield from _repeated_addresses(source)
    yield from _unknown_plans(source)
    yield from _identity_problems(source)
    yield from _unreadable_keys(source, files)
    for index, route in enumerate(source.routes):
        yield from _route_problems(source, route, ("routes", index))
    for name, plan in source.plans.items():
        yield from _repeated_limits(plan.limits, ("plans", name, "limits"))


def _repeated_names(source: config.Config) -> Iterator[Problem]:
    lists: tuple[tuple[Path, Iterable[config.Named]], ...] = (
        (("routes",), source.routes),
        (("consumers",), source.consumers),
        (("identity", "jwt"), source.identity.jwt),
        (("identity", "bearer_tokens"), source.identity.bearer_tokens),
    )
    for path, items in lists:
        first: dict[str, int] = {}
        for index, item in enumerate(items):
            if first.setdefault(item.name, index) != index:
                yield Problem(
                    (*path, index, "name"),
                    f"the name {item.name!r} is taken by entry {first[item.name] + 1}",
                    "rename one",
                )


def _repeated_addresses(source: config.Config) -> Iterator[Problem]:
    taken = [(source.admin.address, "admin")]
    for name, listener in source.listeners.items():
        for address, owner in taken:
            if _overlap(address, listener.address):
                yield Problem(
                    ("listeners", name, "address"),
                    f"{listener.address} takes the address of {owner}, {address}",
                    "choose another port",
                )
        taken.append((listener.address, f"listeners.{name}"))


def _overlap(first: TcpEndpoint, second: TcpEndpoint) -> bool:
    """Whether the two cannot both be bound; `[::]` takes IPv6 alone, as Envoy binds it."""
    hosts = {ip_address(first.host), ip_address(second.host)}
    same_family = len({host.version for host in hosts}) == 1
    return first.port == second.port and (
        len(hosts) == 1 or (same_family and any(host.is_unspecified for host in hosts))
    )


def _unknown_plans(source: config.Config) -> Iterator[Problem]:
    named: list[tuple[Path, str | None]] = [(("defaults", "plan"), source.defaults.plan)]
    named += [(("consumers", index, "plan"), item.plan) for index, item in enumerate(source.consumers)]
    named += [
        (("identity", "bearer_tokens", index, "plan"), item.plan)
        for index, item in enumerate(source.identity.bearer_tokens)
    ]
    for path, plan in named:
        if plan is not None and plan not in source.plans:
            yield Problem(
                path, f"there is no plan {plan!r}", did_you_mean(plan, source.plans) or "declare it in `plans`"
            )


def _identity_problems(source: config.Config) -> Iterator[Problem]:
    consumers = {consumer.name for consumer in source.consumers}
    issuers: dict[str, str] = {}
    tokens: dict[str, str] = {}
    for index, token in enumerate(source.identity.bearer_tokens):
        path: Path = ("identity", "bearer_tokens", index)
        if token.consumer is not None and token.consumer not in consumers:
            cure = did_you_mean(token.consumer, consumers) or "declare it in `consumers`"
            yield Problem((*path, "consumer"), f"there is no consumer {token.consumer!r}", cure)
        twin = tokens.setdefault(token.token.get_secret_value(), token.name)
        if twin != token.name:
            yield Problem((*path, "token"), f"the same token as {twin!r}", "give each identity a token of its own")
    for index, issuer in enumerate(source.identity.jwt):
        twin = issuers.setdefault(issuer.issuer, issuer.name)
        if twin != issuer.name:
            yield Problem(
                ("identity", "jwt", index, "issuer"), f"{issuer.issuer!r} is the issuer of {twin!r}", "merge the two"
            )


def _unreadable_keys(source: config.Config, files: Mapping[str, bytes]) -> Iterator[Problem]:
    for index, issuer in enumerate(source.identity.jwt):
        path: Path = ("identity", "jwt", index, "keys")
        keys = issuer.keys
        try:
            if isinstance(keys, config.FileKeys):
                jwks_keys(files[keys.file].decode(), issuer.algorithms)
            else:
                secret_keys(keys.secret.get_secret_value().encode(), issuer.algorithms)
        except (UnusableKeys, UnicodeDecodeError) as error:
            if isinstance(keys, config.FileKeys):
                yield Problem((*path, "file"), f"{keys.file}: {error}", JWKS_CURE)
            else:
                yield Problem((*path, "secret"), str(error), config.SECRET_CURE)


def _route_problems(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    if route.upstream not in source.upstreams:
        cure = did_you_mean(route.upstream, source.upstreams) or "declare it in `upstreams`"
        yield Problem((*path, "upstream"), f"there is no upstream {route.upstream!r}", cure)
    if route.match.path.removesuffix("/*") in RESERVED_PATHS:
        yield Problem(
            (*path, "match", "path"), f"{route.match.path!r} is answered by the gateway", "choose another path"
        )
    if route.websocket and route.match.methods and "GET" not in route.match.methods:
        yield Problem((*path, "match", "methods"), "a WebSocket begins with GET", "add GET or drop `websocket`")
    yield from _auth_problems(source, route, path)
    yield from _repeated_limits(route.limits, (*path, "limits"))


def _auth_problems(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    accept = accepted(route, source)
    if accept is None:
        yield Problem(
            path, "the route has no `auth`, and there is no `defaults.auth`", "write the credentials, or `auth: none`"
        )
        return
    known = {"jwt": bool(source.identity.jwt), "bearer": bool(source.identity.bearer_tokens)}
    sections = {"jwt": "identity.jwt", "bearer": "identity.bearer_tokens"}
    where: Path = (*path, "auth") if route.auth is not None else ("defaults", "auth")
    for kind in accept:
        if not known[kind]:
            yield Problem(where, f"{kind!r} is accepted, and none is configured", f"configure `{sections[kind]}`")
    if accept:
        return
    if route.require.scopes or route.require.roles:
        yield Problem(
            (*path, "require"), "a public route knows no scopes and no roles", "write `auth`, or drop `require`"
        )
    for index, limit in enumerate(route.limits):
        if unknown := IDENTITY_DIMENSIONS.intersection(dimensions(limit)):
            names = ", ".join(sorted(dimension.value for dimension in unknown))
            yield Problem(
                (*path, "limits", index),
                f"a public route knows no {names} to count by",
                "write `per: ip` or `per: route`",
            )


def _repeated_limits(limits: tuple[config.Limit, ...], path: Path) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, limit in enumerate(limits):
        rule = limit_of(limit, "").id
        if rule in seen:
            yield Problem((*path, index), "two limits have the same period and the same `per`", "keep the lower one")
        seen.add(rule)


def clashes(routes: Iterable[ir.Route], source: config.Config) -> Iterator[Problem]:
    """Routes that no request can tell apart."""
    places = {route.name: index for index, route in enumerate(source.routes)}
    for first, second in indistinct(routes):
        early, late = sorted((first.name, second.name), key=lambda name: places[name])
        yield Problem(
            ("routes", places[late], "match"),
            f"route {late!r} matches the same requests as route {early!r}",
            "tell them apart by path, methods or hosts",
        )
