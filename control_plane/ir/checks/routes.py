"""Routes: references to nothing, rules that nothing could enforce, and routes that no request can tell apart."""

from collections.abc import Iterable, Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem, did_you_mean
from control_plane.ir import model as ir
from control_plane.ir.checks.answers import answer_problems
from control_plane.ir.checks.headers import header_problems
from control_plane.ir.checks.paths import path_problems
from control_plane.ir.overlap import indistinct
from control_plane.ir.rules import accepted

# Paths that Envoy itself answers on every listener.
RESERVED_PATHS = ("/health", "/readyz")


def route_problems(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    """What keeps a route from being enforced as written."""
    unknown = tuple(_unknown_upstreams(source, route, path))
    yield from unknown
    if not unknown:
        yield from answer_problems(source, route, path)
        yield from path_problems(source, route, path)
    yield from header_problems(route, path)
    if route.match.path is not None and route.match.path.removesuffix("/*") in RESERVED_PATHS:
        yield Problem(
            (*path, "match", "path"), f"{route.match.path!r} is answered by the gateway", "choose another path"
        )
    if route.websocket and route.match.methods and "GET" not in route.match.methods:
        yield Problem((*path, "match", "methods"), "a WebSocket begins with GET", "add GET or drop `websocket`")
    if route.websocket and "body_limit" in route.model_fields_set:
        yield Problem((*path, "body_limit"), "what crosses a WebSocket is not counted", "drop it, or `websocket`")
    yield from auth_problems(source, route, path, "the route has")


def _unknown_upstreams(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    named: list[tuple[Path, str]] = []
    if isinstance(route.upstream, str):
        named.append((("upstream",), route.upstream))
    elif route.upstream is not None:
        named += [(("upstream", index, "name"), item.name) for index, item in enumerate(route.upstream)]
    if route.mirror is not None:
        named.append((("mirror", "upstream"), route.mirror.upstream))
    for place, name in named:
        if name not in source.upstreams:
            cure = did_you_mean(name, source.upstreams) or "declare it in `upstreams`"
            yield Problem((*path, *place), f"there is no upstream {name!r}", cure)


def auth_problems(
    source: config.Config, route: config.Route | config.Llm, path: Path, who_has: str
) -> Iterator[Problem]:
    """Credentials that nobody has configured, and demands that nobody could meet; `who_has` begins a sentence."""
    accept = accepted(route, source)
    if accept is None:
        cure = "write the credentials, or `auth: none`"
        cure = cure if isinstance(route, config.Route) else f"{cure}, in `llm`"
        yield Problem(path, f"{who_has} no `auth`, and there is no `defaults.auth`", cure)
        return
    known = {
        "jwt": bool(source.identity.jwt) or source.identity.tokens is not None,
        "bearer": bool(source.identity.bearer_tokens),
        "api_key": True,  # made at run time
        "mtls": source.identity.mtls is not None,
        "anonymous": True,
    }
    sections = {"jwt": "identity.jwt", "bearer": "identity.bearer_tokens", "mtls": "identity.mtls"}
    where: Path = (*path, "auth") if route.auth is not None else ("defaults", "auth")
    for kind in accept:
        if not known[kind]:
            yield Problem(where, f"{kind!r} is accepted, and none is configured", f"configure `{sections[kind]}`")
    if accept:
        return
    if route.require.scopes or route.require.roles or route.require.plans:
        known_here = "plans" if route.require.plans else "scopes and no roles"
        yield Problem((*path, "require"), f"a public route knows no {known_here}", "write `auth`, or drop `require`")


def clashes(routes: Iterable[ir.Route], source: config.Config) -> Iterator[Problem]:
    """Routes that no request can tell apart."""
    pairs = tuple(indistinct(routes))
    places = {route.name: index for index, route in enumerate(source.routes)} if pairs else {}
    for first, second in pairs:
        early, late = sorted((first.name, second.name), key=lambda name: places[name])
        yield Problem(
            ("routes", places[late], "match"),
            f"route {late!r} matches the same requests as route {early!r}",
            "tell them apart by path, methods, hosts, headers or query, or say by `priority` which one wins",
        )
