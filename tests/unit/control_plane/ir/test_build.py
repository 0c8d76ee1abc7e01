"""What a route, an upstream and an identity mean where the configuration leaves something out."""

from typing import Any

import pytest

from control_plane.ir.model import (
    Condition,
    Gateway,
    PathKind,
    PathMatch,
    Route,
    Secret,
    TestKind,
    Timeouts,
    is_ip_address,
)
from tests.support.compiled import IDENTITY, JWT_SECRET, compiled, config, private, route

LIMITED_PLAN = {"free": {"limits": [{"requests": "60/minute"}]}}
UPSTREAM = {"url": "http://127.0.0.1:9001"}


def gateway(**changes: Any) -> Gateway:
    return compiled(config(**changes)).gateway


def one_route(written: dict[str, Any], **changes: Any) -> Route:
    return gateway(routes=[written], **changes).routes[0]


@pytest.mark.parametrize(
    ("of_route", "of_upstream", "expected"),
    [
        pytest.param({}, {}, Timeouts(30, None, 60, None), id="defaults"),
        pytest.param({}, {"timeout": "5s"}, Timeouts(5, None, 60, None), id="of-the-upstream"),
        pytest.param({"timeout": "7s"}, {"timeout": "5s"}, Timeouts(7, None, 60, None), id="the-route-wins"),
        pytest.param({"timeout": "2m"}, {}, Timeouts(120, None, 120, None), id="idle-is-no-shorter-than-the-answer"),
        pytest.param({"streaming": True}, {}, Timeouts(None, 30, 60, None), id="streaming"),
        pytest.param({"websocket": True}, {}, Timeouts(None, 30, 300, None), id="websocket"),
        pytest.param({"websocket": True, "timeout": "10m"}, {}, Timeouts(None, 600, 300, None), id="slow-websocket"),
        pytest.param(
            {"streaming": True, "timeout": "2m", "idle_timeout": "5s", "max_duration": "1h"},
            {},
            Timeouts(None, 120, 5, 3600),
            id="all-written",
        ),
    ],
)
def test_timeouts(of_route: dict[str, Any], of_upstream: dict[str, Any], expected: Timeouts) -> None:
    found = one_route(route(**of_route), upstreams={"email": {**UPSTREAM, **of_upstream}})

    assert found.forward
    assert found.forward.timeouts == expected


@pytest.mark.parametrize(
    ("written", "plans", "asks"),
    [
        pytest.param(private(), {}, False, id="nothing-to-count"),
        pytest.param(private(), {"free": {}}, False, id="a-plan-without-limits"),
        pytest.param(private(), LIMITED_PLAN, True, id="a-plan-with-limits"),
        pytest.param(route(), LIMITED_PLAN, False, id="public-beside-a-plan"),
        pytest.param(route(limits=[{"requests": "1/second", "per": "ip"}]), {}, True, id="public-with-its-own"),
        pytest.param(private(limits=[{"requests": "1/second"}]), {}, True, id="its-own"),
    ],
)
def test_which_routes_ask_the_limiter(written: dict[str, Any], plans: dict[str, Any], asks: bool) -> None:
    assert one_route(written, identity=IDENTITY, plans=plans).asks_limiter is asks


def demands(*requires: dict[str, list[str]]) -> list[str]:
    """The profiles of routes with these demands."""
    routes = [private(f"r{n}", f"/r{n}", require=require) for n, require in enumerate(requires)]
    by_name = {item.name: item.demand for item in gateway(identity=IDENTITY, routes=routes).routes}
    return [demand.profile for n in range(len(requires)) if (demand := by_name[f"r{n}"])]


def test_equal_demands_are_one_profile() -> None:
    first, second = demands({"scopes": ["a", "b"], "roles": ["r"]}, {"scopes": ["b", "a"], "roles": ["r"]})

    assert first == second


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"scopes": ["a"]}, {"roles": ["a"]}, id="scope-and-role"),
        pytest.param({"scopes": ["a", "b"]}, {"scopes": ["a"], "roles": ["b"]}, id="scopes-and-a-scope-with-a-role"),
        pytest.param({"scopes": ["ab"]}, {"scopes": ["a", "b"]}, id="one-word-and-two"),
        pytest.param({}, {"scopes": ["a"]}, id="nothing-and-something"),
    ],
)
def test_different_demands_are_different_profiles(one: dict[str, list[str]], other: dict[str, list[str]]) -> None:
    first, second = demands(one, other)

    assert first != second


@pytest.mark.parametrize(
    ("auth", "defaults", "expected"),
    [
        pytest.param("none", {"auth": ["bearer"]}, None, id="public-in-spite-of-the-default"),
        pytest.param([], {"auth": ["bearer"]}, None, id="nothing-accepted-is-public"),
        pytest.param(None, {"auth": ["bearer"]}, ("bearer",), id="the-default"),
        pytest.param(None, {"auth": "none"}, None, id="public-by-default"),
    ],
)
def test_what_a_route_accepts(auth: Any, defaults: dict[str, Any], expected: tuple[str, ...] | None) -> None:
    written = route()
    written.pop("auth")
    found = one_route(written | ({} if auth is None else {"auth": auth}), identity=IDENTITY, defaults=defaults)

    assert (found.demand and found.demand.accept) == expected


@pytest.mark.parametrize(
    ("endpoints", "expected", "resolved"),
    [
        pytest.param(["http://10.0.0.2:80", "http://10.0.0.1:80"], ["10.0.0.1:80", "10.0.0.2:80"], True, id="sorted"),
        pytest.param(["http://10.0.0.1:80", "http://a.internal:80"], None, False, id="one-name-among-addresses"),
        pytest.param(["http://[::1]:80"], ["::1:80"], True, id="ipv6"),
    ],
)
def test_endpoints(endpoints: list[str], expected: list[str] | None, resolved: bool) -> None:
    (upstream,) = gateway(upstreams={"email": {"endpoints": endpoints}}, routes=[]).upstreams

    assert upstream.resolved is resolved
    if expected:
        assert [f"{item.host}:{item.port}" for item in upstream.endpoints] == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a", PathMatch("/a", PathKind.EXACT)),
        ("/a/*", PathMatch("/a", PathKind.PREFIX)),
        ("/*", PathMatch("/", PathKind.PREFIX)),
        ("/", PathMatch("/", PathKind.EXACT)),
        ("/a/", PathMatch("/a/", PathKind.EXACT)),
        ("/a/{b}", PathMatch("/a/{b}", PathKind.TEMPLATE)),
        ("/a/{b}/*", PathMatch("/a/{b}", PathKind.PREFIX)),
    ],
)
def test_paths(path: str, expected: PathMatch) -> None:
    assert one_route(route(path=path)).path == expected


@pytest.mark.parametrize(
    ("match", "headers"),
    [
        pytest.param({"x-a": "1"}, [Condition("x-a", TestKind.EXACT, "1")], id="a-text-is-the-value"),
        pytest.param(
            {"x-b": {"present": False}, "x-a": {"present": True}},
            [Condition("x-a", TestKind.PRESENT), Condition("x-b", TestKind.ABSENT)],
            id="presence",
        ),
        pytest.param({"x-a": {"suffix": "1"}}, [Condition("x-a", TestKind.SUFFIX, "1")], id="a-test"),
    ],
)
def test_conditions(match: dict[str, Any], headers: list[Condition]) -> None:
    found = one_route(route(headers=match, query={name.removeprefix("x-"): test for name, test in match.items()}))

    assert list(found.headers) == headers
    assert [item.name for item in found.query] == [item.name.removeprefix("x-") for item in headers]


@pytest.mark.parametrize(
    ("answer", "limits"),
    [
        pytest.param({"redirect": {"path": "/a"}}, LIMITED_PLAN, id="a-redirect"),
        pytest.param({"respond": {"body": "a"}}, LIMITED_PLAN, id="a-direct-response"),
    ],
)
def test_nobody_is_asked_about_limits_where_the_gateway_answers(answer: dict[str, Any], limits: dict[str, Any]) -> None:
    written = private(**answer)
    del written["upstream"]

    assert not one_route(written, identity=IDENTITY, plans=limits).asks_limiter


def test_a_bearer_token_stands_for_itself_where_nothing_is_said() -> None:
    (token,) = gateway(identity=IDENTITY, routes=[private()]).bearer_tokens

    assert (token.subject, token.tenant, token.consumer, token.plan, token.forward) == ("ops", None, None, None, False)


def test_a_secret_never_shows() -> None:
    issuer = {
        "name": "a", "issuer": "https://a.example.com", "audiences": ["g"], "algorithms": ["HS256"],
        "keys": {"secret": JWT_SECRET},
    }  # fmt: skip
    found = gateway(identity={"jwt": [issuer]}, routes=[])

    assert JWT_SECRET not in repr(found)
    assert found.jwt[0].secret == Secret(JWT_SECRET.encode())


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", False), ("1.2.3", False), ("", False), ("010.0.0.1", False)],
)
def test_is_ip_address(host: str, expected: bool) -> None:
    assert is_ip_address(host) is expected
