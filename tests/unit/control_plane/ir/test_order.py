"""The most specific route wins, whatever the order in the file, by Envoy's own way of choosing."""

import re
from collections.abc import Iterable, Sequence

import pytest
from envoy.config.route.v3 import route_components_pb2 as route_pb
from hypothesis import example, given, settings
from hypothesis import strategies as st

from control_plane.ir.model import Gateway, PathMatch, Route, Timeouts
from control_plane.ir.order import covers, indistinct, ordered
from control_plane.xds import names
from control_plane.xds.routes import route_configuration

PATHS = ("/", "/a", "/a/b", "/a/b/c", "/ab")
HOSTS = ("x.com", "a.x.com", "b.a.x.com", "*.x.com", "*.a.x.com")
METHODS = ("GET", "POST")


def a_route(
    name: str = "r", path: str = "/", *, exact: bool = False, methods: Iterable[str] = (), hosts: Iterable[str] = ()
) -> Route:
    return Route(
        name=name, path=PathMatch(path, exact), methods=tuple(sorted(methods)), hosts=tuple(sorted(hosts)),
        upstream="u", rewrite=None, demand=None, limits=(), asks_limiter=False, websocket=False, body_limit=1,
        timeouts=Timeouts(30.0, None, 60.0, None),
    )  # fmt: skip


routes = st.lists(
    st.builds(
        a_route,
        path=st.sampled_from(PATHS),
        exact=st.booleans(),
        methods=st.sets(st.sampled_from(METHODS)),
        hosts=st.sets(st.sampled_from(HOSTS), max_size=3),
    ),
    max_size=10,
)
requests = st.tuples(
    st.sampled_from((*PATHS, "/a/", "/abc", "/a/b/c/d")),
    st.sampled_from((*METHODS, "PUT")),
    st.sampled_from(("x.com", "a.x.com", "b.a.x.com", "c.x.com", "c.d.a.x.com", "y.com", "xx.com")),
)


def named(candidates: Sequence[Route]) -> list[Route]:
    """Those of the routes that can be told apart, each with a name of its own."""
    taken: list[Route] = []
    for number, item in enumerate(candidates):
        fresh = a_route(f"r{number}", item.path.path, exact=item.path.exact, methods=item.methods, hosts=item.hosts)
        if not any(True for _ in indistinct([*taken, fresh])):
            taken.append(fresh)
    return taken


def oracle(candidates: Iterable[Route], path: str, method: str, host: str) -> str:
    """The specification in one breath: host, then path, then method; the nearest wins."""
    best: tuple[tuple[int, int, bool, int, bool], str] | None = None
    for item in candidates:
        hosts = [h for h in item.hosts if h == host or (h[0] == "*" and host.endswith(h[1:]))]
        inside = path == item.path.path or (not item.path.exact and path.startswith(item.path.path.rstrip("/") + "/"))
        if (item.hosts and not hosts) or not inside or (item.methods and method not in item.methods):
            continue
        kind = 0 if not hosts else 2 if host in hosts else 1
        rank = (kind, max(map(len, hosts), default=0), item.path.exact, len(item.path.path), bool(item.methods))
        best = max(best or (rank, item.name), (rank, item.name))
    return best[1] if best else names.NO_ROUTE


def envoys_choice(candidates: Iterable[Route], path: str, method: str, host: str) -> str:
    """What Envoy does with the compiled routes: the nearest virtual host, and its first route that matches."""
    gateway = Gateway((), (), ordered(candidates), (), (), (), (), None)
    by_domain = {item.domains[0]: item for item in route_configuration(gateway).virtual_hosts}
    suffixes = sorted((d for d in by_domain if d.startswith("*.") and host.endswith(d[1:])), key=len)
    chosen = by_domain.get(host) or by_domain[suffixes[-1] if suffixes else "*"]
    return next(item.name for item in chosen.routes if takes(item.match, path, method))


def takes(match: route_pb.RouteMatch, path: str, method: str) -> bool:
    for header in match.headers:
        if bool(re.fullmatch(header.string_match.safe_regex.regex, method)) == header.invert_match:
            return False
    if match.HasField("path"):
        return path == match.path
    if match.HasField("prefix"):
        return path.startswith(match.prefix)
    return path == match.path_separated_prefix or path.startswith(match.path_separated_prefix + "/")


@settings(deadline=None, max_examples=400)
@given(candidates=routes, request_line=requests)
@example(  # a host-specific route that does not take the path: the request falls through to one without hosts
    candidates=[a_route(path="/a", exact=True, hosts=["x.com"]), a_route(path="/", exact=False)],
    request_line=("/a/b", "GET", "x.com"),
)
@example(  # a less specific path of a nearer host wins
    candidates=[a_route(path="/", hosts=["a.x.com"]), a_route(path="/a/b", exact=True, hosts=["*.x.com"])],
    request_line=("/a/b", "GET", "a.x.com"),
)
def test_envoy_chooses_the_most_specific_route(candidates: list[Route], request_line: tuple[str, str, str]) -> None:
    taken = named(candidates)

    assert envoys_choice(taken, *request_line) == oracle(taken, *request_line)


@settings(deadline=None, max_examples=50)
@given(candidates=routes, chance=st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(candidates: list[Route], chance: object) -> None:
    taken = named(candidates)
    mixed = list(taken)
    chance.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis types it as object

    assert ordered(mixed) == ordered(taken)


@pytest.mark.parametrize(
    ("host", "domain", "expected"),
    [
        pytest.param("x.com", "x.com", True, id="itself"),
        pytest.param("x.com", "a.x.com", False, id="exact-host-takes-no-subdomain"),
        pytest.param("*.x.com", "a.x.com", True, id="subdomain"),
        pytest.param("*.x.com", "a.b.x.com", True, id="subdomain-of-a-subdomain"),
        pytest.param("*.x.com", "x.com", False, id="suffix-without-a-label"),
        pytest.param("*.x.com", "axx.com", False, id="not-at-a-label"),
        pytest.param("*.x.com", "*.x.com", True, id="same-wildcard"),
        pytest.param("*.x.com", "*.a.x.com", True, id="narrower-wildcard"),
        pytest.param("*.a.x.com", "*.x.com", False, id="wider-wildcard"),
        pytest.param("a.x.com", "*.x.com", False, id="exact-host-on-a-wildcard-domain"),
        pytest.param("*", "*", True, id="any-on-any"),
        pytest.param("*", "x.com", True, id="any-on-one"),
        pytest.param("*.x.com", "*", False, id="some-on-any"),
    ],
)
def test_covers(host: str, domain: str, expected: bool) -> None:
    assert covers(host, domain) is expected


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        pytest.param({}, {}, True, id="same"),
        pytest.param({"exact": True}, {}, False, id="exact-and-prefix"),
        pytest.param({"methods": ["GET"]}, {}, False, id="a-method-and-all"),
        pytest.param({"methods": ["GET", "POST"]}, {"methods": ["POST", "PUT"]}, True, id="a-method-in-both"),
        pytest.param({"methods": ["GET"]}, {"methods": ["POST"]}, False, id="other-methods"),
        pytest.param({"hosts": ["x.com"]}, {}, False, id="a-host-and-all"),
        pytest.param({"hosts": ["x.com", "y.com"]}, {"hosts": ["y.com"]}, True, id="a-host-in-both"),
        pytest.param({"hosts": ["a.x.com"]}, {"hosts": ["*.x.com"]}, False, id="a-host-and-its-wildcard"),
        pytest.param({"hosts": ["x.com"], "methods": ["GET"]}, {"hosts": ["x.com"]}, False, id="host-and-method"),
    ],
)
def test_routes_that_no_request_can_tell_apart(first: dict, second: dict, clash: bool) -> None:
    assert any(True for _ in indistinct([a_route("1", **first), a_route("2", **second)])) is clash
