"""What an upstream means where it says little."""

from typing import Any

import pytest

from control_plane.ir.model import Address, GrpcCheck, HttpCheck, TcpCheck, Upstream
from tests.support.compiled import compiled, config


def upstream(**written: Any) -> Upstream:
    (found,) = compiled(config(upstreams={"email": written})).gateway.upstreams
    return found


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param({"url": "http://a"}, TcpCheck(), id="nothing said"),
        pytest.param({"url": "http://a", "api": "ollama"}, HttpCheck("/api/version", None, (200,)), id="Ollama"),
        pytest.param({"url": "http://a/v1", "api": "ollama"}, HttpCheck("/api/version", None, (200,)), id="its API"),
        pytest.param(
            {"url": "http://a/llm/v1", "api": "ollama"}, HttpCheck("/llm/api/version", None, (200,)), id="below a path"
        ),
        pytest.param(
            {"url": "http://a", "api": "ollama", "health_check": {"path": "/"}}, HttpCheck("/", None, (200,)), id="path"
        ),
        pytest.param(
            {"url": "http://a", "host_header": "b.c", "health_check": {"path": "/", "statuses": [204, 200]}},
            HttpCheck("/", "b.c", (200, 204)),
            id="the Host of its requests",
        ),
        pytest.param(
            {"url": "http://a", "host_header": "upstream", "health_check": {"path": "/", "host": "d.e"}},
            HttpCheck("/", "d.e", (200,)),
            id="a Host of its own",
        ),
        pytest.param(
            {"url": "http://a", "protocol": "http2", "health_check": {"grpc": True}}, GrpcCheck("", None), id="gRPC"
        ),
    ],
)
def test_what_is_asked_about_its_health(written, expected) -> None:
    check = upstream(**written).health_check

    assert check is not None
    assert check.ask == expected


def test_health_is_not_asked_where_that_is_written() -> None:
    assert upstream(url="http://a", health_check="none").health_check is None


def test_endpoints_are_sorted() -> None:
    found = upstream(endpoints=["http://b", "http://a:2", "http://a:1"])

    assert found.endpoints == (Address("a", 1), Address("a", 2), Address("b", 80))
    assert not found.resolved


def test_secrets_do_not_show() -> None:
    assert "k3y-of-upstream" not in repr(
        upstream(url="http://a", credential={"header": "x", "value": "k3y-of-upstream"})
    )
