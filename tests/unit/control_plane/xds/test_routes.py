"""What a compiled route does to a path, to headers and to time."""

import re
from typing import Any

import pytest
from envoy.config.route.v3 import route_components_pb2 as route_pb
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.xds import names
from control_plane.xds.routes import route_configuration
from tests.support.compiled import compiled, config, route


def virtual_hosts(*routes: dict[str, Any]) -> dict[str, list[route_pb.Route]]:
    configuration = route_configuration(compiled(config(routes=list(routes))).gateway)
    assert all(item.routes[0].name == names.ODD_METHOD for item in configuration.virtual_hosts)
    return {item.domains[0]: list(item.routes)[1:] for item in configuration.virtual_hosts}


def only(**changes: Any) -> route_pb.Route:
    return virtual_hosts(route(**changes))["*"][0]


def rewritten(built: route_pb.Route, path: str) -> str:
    """What Envoy makes of the path: a substitution of RE2, whose backslash syntax Python shares here."""
    rewrite = built.route.regex_rewrite
    return re.sub(rewrite.pattern.regex, rewrite.substitution, path)


@pytest.mark.parametrize(
    ("path", "rewrite", "expected"),
    [
        pytest.param("/a/*", "/", {"/a": "/", "/a/": "/", "/a/x": "/x", "/a/x/a/y": "/x/a/y"}, id="prefix-removed"),
        pytest.param("/a/*", "/v2", {"/a": "/v2", "/a/": "/v2/", "/a/x": "/v2/x"}, id="prefix-replaced"),
        pytest.param("/a/*", "/v2/", {"/a": "/v2/", "/a/x": "/v2/x"}, id="prefix-replaced-by-a-folder"),
        pytest.param("/*", "/v2", {"/": "/v2/", "/x": "/v2/x"}, id="everything-below"),
        pytest.param("/*", "/v2/", {"/": "/v2/", "/x": "/v2/x"}, id="everything-below-a-folder"),
        pytest.param("/a", "/b", {"/a": "/b"}, id="exact"),
        pytest.param("/a.b+(c)/*", "/x", {"/a.b+(c)/d": "/x/d"}, id="a-path-that-looks-like-a-pattern"),
    ],
)
def test_rewrite(path: str, rewrite: str, expected: dict[str, str]) -> None:
    built = only(path=path, rewrite=rewrite)

    assert {before: rewritten(built, before) for before in expected} == expected


@settings(deadline=None, max_examples=25)
@given(rest=st.text("ab/.", max_size=8))
def test_a_rewrite_keeps_what_follows_and_doubles_no_slash(rest: str) -> None:
    built = only(path="/a/*", rewrite="/")

    assert rewritten(built, f"/a/{rest}") == f"/{rest}"


@pytest.mark.parametrize(
    ("methods", "taken", "refused"),
    [
        pytest.param(["GET"], ["GET"], ["POST", "GETX", "XGET", "get"], id="one"),
        pytest.param(["GET", "POST"], ["GET", "POST"], ["GE", "GET|POST"], id="two"),
    ],
)
def test_methods_match_whole(methods: list[str], taken: list[str], refused: list[str]) -> None:
    pattern = only(methods=methods).match.headers[0].string_match.safe_regex.regex

    assert [word for word in [*taken, *refused] if re.fullmatch(pattern, word)] == taken


def test_each_virtual_host_ends_with_the_answer_that_nothing_matches() -> None:
    hosts = virtual_hosts(route(hosts=["a.example.com"]), route("b", "/b"))

    assert set(hosts) == {"*", "a.example.com"}
    assert [routes[-1].name for routes in hosts.values()] == [names.NO_ROUTE] * 2
    assert all(routes[-1].direct_response.status == 404 for routes in hosts.values())


def test_a_host_has_its_own_routes_before_those_of_all_hosts() -> None:
    hosts = virtual_hosts(
        route("any", "/a/b"),
        route("wild", "/a/*", hosts=["*.example.com"]),
        route("own", "/*", hosts=["a.example.com"]),
    )

    assert [item.name for item in hosts["a.example.com"]] == ["own", "wild", "any", names.NO_ROUTE]
    assert [item.name for item in hosts["*.example.com"]] == ["wild", "any", names.NO_ROUTE]
    assert [item.name for item in hosts["*"]] == ["any", names.NO_ROUTE]


@pytest.mark.parametrize(
    ("changes", "timeout", "per_try"),
    [
        pytest.param({"timeout": "5s"}, 5.0, None, id="whole-answer"),
        pytest.param({"timeout": "5s", "streaming": True}, 0.0, 5.0, id="first-byte-of-a-stream"),
        pytest.param({"timeout": "1ms"}, 0.001, None, id="shortest"),
    ],
)
def test_a_timeout_never_cuts_a_stream(changes: dict[str, Any], timeout: float, per_try: float | None) -> None:
    action = only(**changes).route

    assert action.timeout.ToTimedelta().total_seconds() == timeout
    found = action.retry_policy.per_try_timeout.ToTimedelta().total_seconds()
    assert found == (per_try or 0.0)


def test_the_profile_does_not_reach_the_upstream() -> None:
    assert list(only().request_headers_to_remove) == ["x-tollgate-profile"]
