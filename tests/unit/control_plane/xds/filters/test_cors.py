"""Which origins an expression takes; the preflight's route."""

from typing import Any

import pytest
import re2
from envoy.extensions.filters.http.cors.v3 import cors_pb2 as cors_pb

from control_plane.ir.model import Condition, Route, TestKind
from control_plane.xds import names
from control_plane.xds.filters import cors
from control_plane.xds.preflight import with_preflights
from tests.support.compiled import compiled, config, route


def built(**changes: Any) -> Route:
    pages = {"origins": ["https://app.example.com", "https://*.example.org", "http://*.local:8080"]}
    return compiled(config(routes=[route(**{"cors": pages, **changes})])).gateway.routes[0]


def policy(**changes: Any) -> cors_pb.CorsPolicy:
    return cors_pb.CorsPolicy.FromString(cors.per_route(built(**changes))[names.CORS].value)


@pytest.mark.parametrize(
    ("origin", "taken"),
    [
        ("https://app.example.com", True),
        ("https://a.example.org", True),
        ("https://a-1.b.example.org", True),
        ("http://a.local:8080", True),
        ("http://a.local", False),
        ("http://a.local:80801", False),
        ("https://example.org", False),
        ("https://.example.org", False),
        ("https://evil-example.org", False),
        ("https://a.example.org.evil.com", False),
        ("https://a.example.org:443", False),
        ("https://a.example.org/", False),
        ("https://evil.com/a.example.org", False),
        ("https://evil.com?.example.org", False),
        ("https://u@a.example.org", False),
        ("xhttps://a.example.org", False),
        ("https://a.exampleXorg", False),
        ("https://a.example.org\nhttps://evil.com", False),
    ],
)
def test_origins(origin: str, taken: bool) -> None:
    found = [
        re2.fullmatch(item.safe_regex.regex, origin) is not None
        if item.HasField("safe_regex")
        else item.exact == origin
        for item in policy().allow_origin_string_match
    ]

    assert any(found) is taken


def test_pages_may_use_the_methods_of_the_route() -> None:
    assert policy(methods=["POST", "GET"]).allow_methods == "GET,POST"
    assert policy().allow_methods == "DELETE,GET,HEAD,PATCH,POST,PUT"


def companion(**changes: Any) -> Route:
    _, found = with_preflights([built(**changes)])
    return found


@pytest.mark.parametrize(
    ("methods", "asked"),
    [
        pytest.param([], Condition("access-control-request-method", TestKind.PRESENT), id="any"),
        pytest.param(["PUT"], Condition("access-control-request-method", TestKind.REGEX, "PUT"), id="named"),
        pytest.param(["GET", "OPTIONS"], Condition("access-control-request-method", TestKind.PRESENT), id="options"),
    ],
)
def test_a_companion_takes_the_preflights_of_its_route(methods: list[str], asked: Condition) -> None:
    found = companion(**({"methods": methods} if methods else {}))

    assert found.methods == ("OPTIONS",)
    assert found.headers == (Condition("origin", TestKind.PRESENT), asked)
    assert found.name == "email:preflight"


def test_a_companion_asks_nobody_and_lets_nobody_pass() -> None:
    found = companion(limits=[{"requests": "5/minute", "per": "ip"}], allow_ips=["10.0.0.0/8"])

    assert (found.demand, found.limits, found.asks_limiter, found.limited_here) == (None, (), False, False)
    assert found.nobody


def test_a_route_without_rules_for_pages_has_no_companion() -> None:
    plain = compiled(config(routes=[route()])).gateway.routes

    assert tuple(with_preflights(plain)) == plain


@pytest.mark.parametrize(
    ("test", "announced"),
    [
        pytest.param("1", True, id="a value"),
        pytest.param({"present": True}, True, id="any value"),
        pytest.param({"present": False}, False, id="absence"),
    ],
)
def test_a_test_of_a_header_becomes_one_of_its_announcement(test: Any, announced: bool) -> None:
    written = route(cors={"origins": ["*"]})
    written["match"]["headers"] = {"x-beta": test}
    _, found = with_preflights(compiled(config(routes=[written])).gateway.routes)
    asked = [item.value for item in found.headers if item.name == "access-control-request-headers"]

    assert bool(asked) is announced
    for expression in asked:
        assert re2.fullmatch(expression, "content-type, X-Beta")
        assert re2.fullmatch(expression, "x-beta,x-other")
        assert not re2.fullmatch(expression, "x-betamax, y-x-beta")
