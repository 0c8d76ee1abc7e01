"""Which paths and methods the compiled expressions take, and how tests of values are told to Envoy."""

import re
from typing import Any

import pytest
from google.protobuf import json_format

from tests.support.compiled import route
from tests.support.routes import only, virtual_hosts


@pytest.mark.parametrize(
    ("path", "taken", "refused"),
    [
        pytest.param("/u/{id}", ["/u/1", "/u/..x"], ["/u", "/u/", "/u/1/", "/u/1/2", "/v/1"], id="template"),
        pytest.param("/u/{id}/o", ["/u/1/o"], ["/u//o", "/u/1/o/", "/u/1/2/o"], id="literal-behind-a-variable"),
        pytest.param("/{a}/{b}", ["/1/2"], ["/1", "/1/", "//2"], id="variables-alone"),
        pytest.param("/a.b+(c)/{id}", ["/a.b+(c)/1"], ["/axb+(c)/1", "/a.bb(c)/1"], id="looks-like-a-pattern"),
        pytest.param("/u/{id}/*", ["/u/1", "/u/1/", "/u/1/2/3"], ["/u/", "/u", "/u1"], id="prefix-with-a-variable"),
    ],
)
def test_templates(path: str, taken: list[str], refused: list[str]) -> None:
    pattern = only(path=path).match.safe_regex.regex

    assert [item for item in [*taken, *refused] if re.fullmatch(pattern, item)] == taken


def test_an_expression_is_told_as_it_stands() -> None:
    written = {**route(), "match": {"path_regex": r"/v[12]/\w+"}}

    assert virtual_hosts(written)["*"][0].match.safe_regex.regex == r"/v[12]/\w+"


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


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        pytest.param("v", {"string_match": {"exact": "v"}}, id="text"),
        pytest.param({"exact": "v"}, {"string_match": {"exact": "v"}}, id="exact"),
        pytest.param({"prefix": "v"}, {"string_match": {"prefix": "v"}}, id="prefix"),
        pytest.param({"suffix": "v"}, {"string_match": {"suffix": "v"}}, id="suffix"),
        pytest.param({"contains": "v"}, {"string_match": {"contains": "v"}}, id="contains"),
        pytest.param({"regex": "v+"}, {"string_match": {"safe_regex": {"regex": "v+"}}}, id="regex"),
        pytest.param({"present": True}, {"present_match": True}, id="present"),
        pytest.param({"present": False}, {"present_match": False}, id="absent"),
    ],
)
def test_values(test: Any, expected: dict[str, Any]) -> None:
    match = only(headers={"x-k": test}, query={"k": test}).match

    assert told(match.headers[0]) == {"name": "x-k", **expected}
    assert told(match.query_parameters[0]) == {"name": "k", **expected}


def told(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
