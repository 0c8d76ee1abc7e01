"""Which routes no request can tell apart."""

from typing import Any

import pytest

from control_plane.ir import overlap
from control_plane.ir.model import Asked, Condition, PathKind, PathMatch, TestKind
from control_plane.ir.overlap import indistinct
from tests.support.representation import a_route

EXACT, PREFIX, SUFFIX = TestKind.EXACT, TestKind.PREFIX, TestKind.SUFFIX


def path(text: str, kind: PathKind = PathKind.PREFIX) -> dict[str, Any]:
    return {"path": PathMatch(text, kind)}


def template(text: str) -> dict[str, Any]:
    return path(text, PathKind.TEMPLATE)


def regex(text: str) -> dict[str, Any]:
    return path(text, PathKind.REGEX)


def header(kind: TestKind, value: str = "", name: str = "k") -> dict[str, Any]:
    return {"headers": (Condition(name, kind, value),)}


def asking(*names: str, unnamed: bool = False) -> dict[str, Any]:
    return {"asked": Asked(names, unnamed=unnamed)}


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        pytest.param({}, {}, True, id="same"),
        pytest.param(path("/a", PathKind.EXACT), path("/a"), False, id="exact-and-prefix"),
        pytest.param({"methods": ("GET",)}, {}, False, id="a-method-and-all"),
        pytest.param({"methods": ("GET", "POST")}, {"methods": ("POST", "PUT")}, True, id="a-method-in-both"),
        pytest.param({"methods": ("GET",)}, {"methods": ("POST",)}, False, id="other-methods"),
        pytest.param(asking("a"), asking("b"), False, id="other-models"),
        pytest.param(asking("a", "b"), asking("b"), True, id="a-model-in-both"),
        pytest.param(asking("a", unnamed=True), asking("b", unnamed=True), True, id="no-model-in-both"),
        pytest.param(asking("a"), asking(unnamed=True), False, id="a-model-and-none"),
        pytest.param(asking("a"), asking(), False, id="a-model-and-any"),
        pytest.param(asking(), asking(), True, id="any-model-twice"),
        pytest.param({"of_plans": ("a",)}, {"of_plans": ("b",)}, False, id="other-plans"),
        pytest.param({"of_plans": ("a", "b")}, {"of_plans": ("b",)}, True, id="a-plan-in-both"),
        pytest.param({"of_plans": ("a",)}, {"of_plans": ()}, False, id="a-plan-and-the-rest"),
        pytest.param({"of_plans": ("a",)}, asking("a"), True, id="a-plan-and-a-model"),
        pytest.param({"hosts": ("x.com",)}, {}, False, id="a-host-and-all"),
        pytest.param({"hosts": ("x.com", "y.com")}, {"hosts": ("y.com",)}, True, id="a-host-in-both"),
        pytest.param({"hosts": ("a.x.com",)}, {"hosts": ("*.x.com",)}, False, id="a-host-and-its-wildcard"),
        pytest.param({"hosts": ("x.com",), "methods": ("GET",)}, {"hosts": ("x.com",)}, False, id="host-and-method"),
        pytest.param({"priority": 1}, {}, False, id="priorities"),
        pytest.param(template("/a/{x}"), template("/a/{y}"), True, id="two-names-of-a-variable"),
        pytest.param(template("/a/{x}"), template("/b/{x}"), False, id="literals-of-templates"),
        pytest.param(template("/a/{x}"), template("/{x}/a"), False, id="the-first-literal-decides"),
        pytest.param(path("/a/{x}"), path("/a/{y}"), True, id="prefixes-with-variables"),
        pytest.param(path("/a/{x}"), template("/a/{x}"), False, id="a-template-and-what-is-below-it"),
        pytest.param(regex("/a.*"), regex("/ab"), True, id="expressions-with-a-common-match"),
        pytest.param(regex("/a.*"), regex("/b.*"), False, id="expressions-that-begin-differently"),
        pytest.param(regex("/.*a"), regex("/.*b"), True, id="expressions-that-may-overlap-for-all-we-know"),
        pytest.param(regex("/a.*"), path("/a"), False, id="an-expression-and-a-prefix"),
        pytest.param(header(EXACT, "1"), {}, False, id="a-test-and-none"),
        pytest.param(header(EXACT, "1"), header(EXACT, "2"), False, id="two-values"),
        pytest.param(header(EXACT, "1"), header(EXACT, "1"), True, id="one-value"),
        pytest.param(header(EXACT, "1"), header(EXACT, "2", "l"), True, id="two-headers-in-one-request"),
        pytest.param(header(EXACT, "1"), header(PREFIX, "2"), False, id="a-value-without-the-prefix"),
        pytest.param(header(EXACT, "12"), header(PREFIX, "1"), True, id="a-value-with-the-prefix"),
        pytest.param(header(EXACT, "1"), header(TestKind.ABSENT), False, id="a-value-and-none"),
        pytest.param(header(TestKind.PRESENT), header(TestKind.ABSENT), False, id="present-and-absent"),
        pytest.param(header(TestKind.PRESENT), header(PREFIX, "1"), True, id="present-and-a-prefix"),
        pytest.param(header(PREFIX, "a"), header(PREFIX, "b"), False, id="two-prefixes"),
        pytest.param(header(SUFFIX, "a"), header(SUFFIX, "b"), False, id="two-suffixes"),
        pytest.param(header(PREFIX, "a"), header(SUFFIX, "b"), True, id="a-prefix-and-a-suffix"),
        pytest.param(header(EXACT, "1"), header(TestKind.REGEX, "[0-9]"), True, id="a-value-of-an-expression"),
        pytest.param(header(EXACT, "1"), header(TestKind.REGEX, "[a-z]"), False, id="a-value-of-no-expression"),
        pytest.param(header(EXACT, "1"), header(TestKind.CONTAINS, "1"), True, id="a-value-that-contains"),
        pytest.param(
            {"query": (Condition("k", EXACT, "1"),)}, {"query": (Condition("k", EXACT, "2"),)}, False, id="parameters"
        ),
        pytest.param({"query": (Condition("k", EXACT, "1"),)}, header(EXACT, "2"), True, id="a-header-is-no-parameter"),
    ],
)
def test_routes_that_no_request_can_tell_apart(first: dict[str, Any], second: dict[str, Any], clash: bool) -> None:
    one, other = a_route(name="1", **first), a_route(name="2", **second)

    assert any(True for _ in indistinct([one, other])) is clash
    assert any(True for _ in indistinct([other, one])) is clash


def test_each_route_is_named_once() -> None:
    pairs = list(indistinct(a_route(name=str(number), hosts=("a.com", "b.com")) for number in range(5)))

    assert [late.name for _, late in pairs] == ["1", "2", "3", "4"]


def values(count: int) -> list[dict[str, Any]]:
    return [header(EXACT, str(number)) for number in range(count)]


def values_beside_a_common_one(count: int) -> list[dict[str, Any]]:
    return [{"headers": (Condition("a", EXACT, "1"), Condition("b", EXACT, str(n)))} for n in range(count)]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param([path(f"/{number}") for number in range(2000)], id="paths"),
        pytest.param(values(2000), id="values-of-a-header"),
        pytest.param(values_beside_a_common_one(2000), id="values-beside-a-common-one"),
        pytest.param([{"hosts": (f"h{number}.com",)} for number in range(2000)], id="hosts"),
        pytest.param([{} for _ in range(2000)], id="the-same-again-and-again"),
        pytest.param([regex(f"/{number:04}/.*") for number in range(2000)], id="expressions"),
    ],
)
def test_routes_with_nothing_in_common_are_not_compared(
    changes: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0

    def counted(*_: object) -> bool:
        nonlocal compared
        compared += 1
        return True

    monkeypatch.setattr(overlap, "_may_share_a_request", counted)

    list(indistinct(a_route(name=str(number), **change) for number, change in enumerate(changes)))

    assert compared <= len(changes)
