"""The most specific route wins, whatever the order in the file, by Envoy's own way of choosing."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.type.matcher.v3 import string_pb2 as string_pb
from hypothesis import example, given, settings
from hypothesis import strategies as st

from control_plane.ir.model import Condition, Gateway, PathKind, PathMatch, Route, TestKind
from control_plane.ir.order import covering_hosts, ordered
from control_plane.ir.overlap import indistinct
from control_plane.xds import names
from control_plane.xds.routes import route_configuration
from tests.support.representation import a_route

PATHS = {
    PathKind.EXACT: ("/", "/a", "/a/b", "/ab"),
    PathKind.TEMPLATE: ("/{x}", "/a/{x}", "/{x}/b", "/a/{x}/c", "/{x}/{y}/c"),
    PathKind.REGEX: ("/a", "/[ab]+", "/a/[^/]+", "/.*c", "/x.*"),
    PathKind.PREFIX: ("/", "/a", "/a/b", "/{x}", "/a/{x}", "/ab"),
}
HOSTS = ("x.com", "a.x.com", "b.a.x.com", "*.x.com", "*.a.x.com")
METHODS = ("GET", "POST")
NAMES = ("k", "l")
VALUES = ("1", "12", "2")
TESTS = (*(kind for kind in TestKind if kind is not TestKind.REGEX), TestKind.REGEX)


@dataclass(frozen=True)
class Asked:
    """A request; a header or parameter stands in it once or not at all."""

    path: str = "/a"
    method: str = "GET"
    host: str = "y.com"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


path_matches = st.sampled_from([PathMatch(text, kind) for kind, texts in PATHS.items() for text in texts])
conditions = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.sampled_from(TESTS), st.sampled_from(VALUES))).map(
    lambda tests: tuple(
        Condition(name, kind, "" if kind in (TestKind.PRESENT, TestKind.ABSENT) else value)
        for name, (kind, value) in sorted(tests.items())
    )
)
routes = st.lists(
    st.builds(
        a_route,
        path=path_matches,
        methods=st.sets(st.sampled_from(METHODS)).map(sorted).map(tuple),
        hosts=st.sets(st.sampled_from(HOSTS), max_size=3).map(sorted).map(tuple),
        headers=conditions,
        query=conditions,
        priority=st.sampled_from((0, 0, 1)),
    ),
    max_size=10,
)
values = st.dictionaries(st.sampled_from(NAMES), st.sampled_from((*VALUES, "3")))
requests = st.builds(
    Asked,
    path=st.sampled_from(("/", "/a", "/a/b", "/ab", "/a/", "/abc", "/a/b/c", "/a/x/c", "/x/b", "/b", "/a/b/c/d")),
    method=st.sampled_from((*METHODS, "PUT")),
    host=st.sampled_from(("x.com", "a.x.com", "b.a.x.com", "c.x.com", "c.d.a.x.com", "y.com", "xx.com")),
    headers=values,
    query=values,
)


def named(candidates: Sequence[Route]) -> list[Route]:
    """Those of the routes that can be told apart, each with a name of its own."""
    taken: list[Route] = []
    for number, item in enumerate(candidates):
        fresh = a_route(**{**vars(item), "name": f"r{number}"})
        if not any(True for _ in indistinct([*taken, fresh])):
            taken.append(fresh)
    return taken


def oracle(candidates: Iterable[Route], asked: Asked) -> str:
    """The specification in one breath: host, path, conditions, method, priority; the nearest wins."""
    fitting = [(rank, item.name) for item in candidates if (rank := nearness(item, asked)) is not None]
    best = max(fitting, default=None)
    assert best is None or [rank for rank, _ in fitting].count(best[0]) == 1, "two routes took one request"
    return best[1] if best else names.NO_ROUTE


def nearness(item: Route, asked: Asked) -> tuple[object, ...] | None:
    """How near a route is to a request; None where it does not take it."""
    hosts = [host for host in item.hosts if host == asked.host or (host[0] == "*" and asked.host.endswith(host[1:]))]
    segments = literal_segments(item.path, asked.path)
    tests = [(test, asked.headers) for test in item.headers] + [(test, asked.query) for test in item.query]
    if (
        (item.hosts and not hosts)
        or segments is None
        or (item.methods and asked.method not in item.methods)
        or not all(passes(test, values.get(test.name)) for test, values in tests)
    ):
        return None
    of_host = (0 if not hosts else 2 if asked.host in hosts else 1, max(map(len, hosts), default=0))
    kinds = [PathKind.PREFIX, PathKind.REGEX, PathKind.TEMPLATE, PathKind.EXACT]
    return (of_host, kinds.index(item.path.kind), segments, len(tests), bool(item.methods), item.priority)


def literal_segments(path: PathMatch, asked: str) -> tuple[bool, ...] | None:
    """For each segment whether it is literal; None where the path does not fit."""
    if path.kind is PathKind.REGEX:
        return () if re.fullmatch(path.text, asked) else None
    wanted = [] if path.text == "/" and path.kind is PathKind.PREFIX else path.text.split("/")[1:]
    found = asked.split("/")[1:]
    if len(found) < len(wanted) or (path.kind is not PathKind.PREFIX and len(found) > len(wanted)):
        return None
    fits = all(bool(part) if want.startswith("{") else part == want for want, part in zip(wanted, found, strict=False))
    return tuple(not want.startswith("{") for want in wanted) if fits else None


def passes(test: Condition, value: str | None) -> bool:
    if test.kind in (TestKind.PRESENT, TestKind.ABSENT):
        return (value is not None) is (test.kind is TestKind.PRESENT)
    return (
        value is not None
        and {
            TestKind.EXACT: value == test.value,
            TestKind.PREFIX: value.startswith(test.value),
            TestKind.SUFFIX: value.endswith(test.value),
            TestKind.CONTAINS: test.value in value,
            TestKind.REGEX: re.fullmatch(test.value, value) is not None,
        }[test.kind]
    )


def envoys_choice(candidates: Iterable[Route], asked: Asked) -> str:
    """What Envoy does with the compiled routes: the nearest virtual host, and its first route that matches."""
    gateway = Gateway((), (), ordered(candidates), (), (), (), (), None)
    by_domain = {item.domains[0]: item for item in route_configuration(gateway).virtual_hosts}
    suffixes = sorted((d for d in by_domain if d.startswith("*.") and asked.host.endswith(d[1:])), key=len)
    chosen = by_domain.get(asked.host) or by_domain[suffixes[-1] if suffixes else "*"]
    return next(item.name for item in chosen.routes if takes(item.match, asked))


def takes(match: route_pb.RouteMatch, asked: Asked) -> bool:
    headers = {**asked.headers, ":method": asked.method, ":authority": asked.host}
    return (
        takes_path(match, asked.path)
        and all(admits(test, headers.get(test.name)) for test in match.headers)
        and all(holds(test, asked.query.get(test.name)) for test in match.query_parameters)
    )


def admits(test: route_pb.HeaderMatcher, value: str | None) -> bool:
    """An absent header passes no test of its value, inverted or not."""
    if value is None and test.HasField("string_match"):
        return False
    return holds(test, value) is not test.invert_match


def takes_path(match: route_pb.RouteMatch, path: str) -> bool:
    match match.WhichOneof("path_specifier"):
        case "path":
            return path == match.path
        case "safe_regex":
            return re.fullmatch(match.safe_regex.regex, path) is not None
        case "prefix":
            return path.startswith(match.prefix)
    return path == match.path_separated_prefix or path.startswith(match.path_separated_prefix + "/")


def holds(test: route_pb.HeaderMatcher | route_pb.QueryParameterMatcher, value: str | None) -> bool:
    if not test.HasField("string_match"):
        return (value is not None) is test.present_match
    return value is not None and fits(test.string_match, value)


def fits(matcher: string_pb.StringMatcher, value: str) -> bool:
    return {
        "exact": lambda: value == matcher.exact,
        "prefix": lambda: value.startswith(matcher.prefix),
        "suffix": lambda: value.endswith(matcher.suffix),
        "contains": lambda: matcher.contains in value,
        "safe_regex": lambda: re.fullmatch(matcher.safe_regex.regex, value) is not None,
    }[matcher.WhichOneof("match_pattern") or ""]()


@settings(deadline=None, max_examples=400)
@given(candidates=routes, asked=requests)
@example(  # a host-specific route that does not take the path: the request falls through to one without hosts
    candidates=[a_route(path=PathMatch("/a", PathKind.EXACT), hosts=("x.com",)), a_route()],
    asked=Asked("/a/b", host="x.com"),
)
@example(  # a less specific path of a nearer host wins
    candidates=[
        a_route(hosts=("a.x.com",)),
        a_route(path=PathMatch("/a/b", PathKind.EXACT), hosts=("*.x.com",)),
    ],
    asked=Asked("/a/b", host="a.x.com"),
)
@example(  # a literal that comes first beats two that come later
    candidates=[
        a_route(path=PathMatch("/a/{x}/c", PathKind.TEMPLATE)),
        a_route(path=PathMatch("/{x}/{y}/c", PathKind.TEMPLATE)),
    ],
    asked=Asked("/a/b/c"),
)
def test_envoy_chooses_the_most_specific_route(candidates: list[Route], asked: Asked) -> None:
    taken = named(candidates)

    assert envoys_choice(taken, asked) == oracle(taken, asked)


@settings(deadline=None, max_examples=50)
@given(candidates=routes, chance=st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(candidates: list[Route], chance: object) -> None:
    taken = named(candidates)
    mixed = list(taken)
    chance.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis types it as object

    assert ordered(mixed) == ordered(taken)


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        pytest.param("x.com", ["x.com", "*.com", "*"], id="no suffix takes its own name"),
        pytest.param("b.a.x.com", ["b.a.x.com", "*.a.x.com", "*.x.com", "*.com", "*"], id="longer suffixes first"),
        pytest.param("*.x.com", ["*.x.com", "*.com", "*"], id="a wildcard is itself and what is wider"),
        pytest.param("axx.com", ["axx.com", "*.com", "*"], id="suffixes begin at a label"),
        pytest.param("com", ["com", "*"], id="one label"),
        pytest.param("*", ["*"], id="any host"),
    ],
)
def test_hosts_that_cover_a_domain(domain: str, expected: list[str]) -> None:
    assert list(covering_hosts(domain)) == expected
