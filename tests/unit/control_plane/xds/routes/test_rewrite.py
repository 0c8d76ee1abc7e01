"""What a compiled route does to a path, by RE2 itself."""

from typing import Any

import pytest
import re2
from envoy.config.route.v3 import route_components_pb2 as route_pb
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.compiled import route
from tests.support.routes import only, virtual_hosts


def rewritten(built: route_pb.Route, path: str) -> str:
    """What Envoy makes of the path: every match is replaced."""
    rewrite = built.route.regex_rewrite
    return re2.sub(rewrite.pattern.regex, rewrite.substitution, path)


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
        pytest.param("/u/{id}", "/v2/{id}/x", {"/u/7": "/v2/7/x"}, id="a-variable"),
        pytest.param("/u/{a}/{b}", "/{b}/{a}", {"/u/1/2": "/2/1"}, id="variables-in-another-order"),
        pytest.param("/u/{a}/{b}", "/{b}/{b}", {"/u/1/2": "/2/2"}, id="one-twice-and-one-not-at-all"),
        pytest.param("/u/{id}/*", "/{id}", {"/u/1": "/1", "/u/1/": "/1/", "/u/1/x": "/1/x"}, id="a-prefix-with-one"),
        pytest.param("/u/{id}/*", "/v2/", {"/u/1": "/v2/", "/u/1/x": "/v2/x"}, id="a-prefix-without-its-variable"),
        pytest.param("/u/{a}", "/{a}/0", {"/u/1": "/1/0"}, id="a-digit-behind-a-group"),
    ],
)
def test_rewrite(path: str, rewrite: str, expected: dict[str, str]) -> None:
    built = only(path=path, rewrite=rewrite)

    assert {before: rewritten(built, before) for before in expected} == expected


@pytest.mark.parametrize(
    ("path", "rewrite", "expected"),
    [
        pytest.param("/a", None, {"/a": "/v1/a"}, id="exact"),
        pytest.param("/*", None, {"/": "/v1/", "/a/v1": "/v1/a/v1"}, id="everything"),
        pytest.param("/a/*", "/", {"/a": "/v1/", "/a/x": "/v1/x"}, id="prefix-removed"),
        pytest.param("/a/*", "/b", {"/a": "/v1/b", "/a/x": "/v1/b/x"}, id="prefix-replaced"),
        pytest.param("/u/{id}", "/{id}", {"/u/7": "/v1/7"}, id="template"),
    ],
)
def test_the_path_of_the_upstreams_address_comes_first(
    path: str, rewrite: str | None, expected: dict[str, str]
) -> None:
    built = only(path=path, rewrite=rewrite, upstreams={"email": {"url": "http://127.0.0.1:9001/v1/"}})

    assert {before: rewritten(built, before) for before in expected} == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"rewrite": "/v2"}, {"/a/1": "/v2", "/b": "/v2"}, id="the-whole-path"),
        pytest.param(
            {"rewrite_regex": {"pattern": "^/a/([0-9]+)", "substitution": r"/\1/a"}},
            {"/a/1": "/1/a", "/b": "/b"},
            id="a-group",
        ),
        pytest.param({"rewrite_regex": {"pattern": "-", "substitution": "_"}}, {"/a-b-c": "/a_b_c"}, id="each-match"),
    ],
)
def test_paths_that_an_expression_takes(changes: dict[str, Any], expected: dict[str, str]) -> None:
    built = virtual_hosts({**route(**changes), "match": {"path_regex": "/.*"}})["*"][0]

    assert {before: rewritten(built, before) for before in expected} == expected


SEGMENTS = st.lists(st.text("ab.%41", min_size=1, max_size=4).filter(lambda text: text not in (".", "..")), max_size=3)


@settings(deadline=None, max_examples=25)
@given(rest=st.text("ab/.", max_size=8))
def test_a_rewrite_keeps_what_follows_and_doubles_no_slash(rest: str) -> None:
    built = only(path="/a/*", rewrite="/")

    assert rewritten(built, f"/a/{rest}") == f"/{rest}"


@settings(deadline=None, max_examples=50)
@given(
    variable=SEGMENTS.filter(bool),
    rest=SEGMENTS,
    rewrite=st.sampled_from(["/", "/{id}", "/v2/{id}/", "/{id}/x", "/..a/{id}"]),
)
def test_a_rewrite_of_a_normal_path_is_normal(variable: list[str], rest: list[str], rewrite: str) -> None:
    built = only(path="/a/{id}/*", rewrite=rewrite)

    found = rewritten(built, "/".join(["/a", variable[0], *rest]))

    assert found.startswith("/")
    assert "//" not in found
    assert {".", ".."}.isdisjoint(found.split("/"))


def test_a_redirect_replaces_paths_like_a_rewrite() -> None:
    redirect = only(path="/a/*", upstream=None, redirect={"path": "/v2"}).redirect.regex_rewrite

    assert redirect == only(path="/a/*", rewrite="/v2").route.regex_rewrite
