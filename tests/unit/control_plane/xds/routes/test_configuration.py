"""Virtual hosts, the order of their routes, and what a route says beside its match and action."""

from typing import Any

import pytest
from envoy.config.route.v3 import route_components_pb2 as route_pb

from control_plane.xds import names
from control_plane.xds.routes import route_configuration
from tests.support.compiled import compiled, config, route
from tests.support.models import MODEL_UPSTREAMS, model
from tests.support.routes import only, virtual_hosts


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


def test_calls_of_models_are_taken_on_every_host_but_by_routes_of_the_host() -> None:
    """Any host: the endpoints win over a prefix. A host's own routes come before all that is of any host."""
    content = config(
        routes=[
            route("rest", "/v1/*"),
            route("site", "/*", hosts=["www.test"]),
            route("files", "/v1/files/*", hosts=["api.test"]),
        ],
        upstreams={**MODEL_UPSTREAMS, "email": {"url": "http://127.0.0.1:9001"}},
        llm={"auth": "none", "ollama": False},
        models=[model(apis=["chat"])],
    )
    found = route_configuration(compiled(content).gateway).virtual_hosts
    orders = {host.name: [item.name for item in host.routes if item.name in NAMED] for host in found}

    assert orders["*"] == ["chat:m", "chat:", "rest"]
    assert orders["www.test"] == ["site", "chat:m", "chat:", "rest"]
    assert orders["api.test"] == ["files", "chat:m", "chat:", "rest"]


NAMED = ("chat:m", "chat:", "rest", "site", "files")
INTERNAL = ["x-tollgate-profile", "x-tollgate-models"]


def test_the_rules_of_an_identity_do_not_reach_the_upstream() -> None:
    assert list(only().request_headers_to_remove) == INTERNAL


CHANGES = {"set": {"x-a": "100%"}, "add": {"x-b": "2"}, "remove": ["x-c"]}


def told(options: Any) -> list[tuple[str, str, str]]:
    return [(item.header.key, item.header.value, item.HeaderAppendAction.Name(item.append_action)) for item in options]


WRITTEN = [("x-a", "100%%", "OVERWRITE_IF_EXISTS_OR_ADD"), ("x-b", "2", "APPEND_IF_EXISTS_OR_ADD")]


def test_changes_of_request_headers() -> None:
    built = only(request_headers=CHANGES)

    assert list(built.request_headers_to_remove) == [*INTERNAL, "x-c"]
    assert told(built.request_headers_to_add) == WRITTEN


def test_changes_of_response_headers() -> None:
    built = only(response_headers=CHANGES)

    assert list(built.response_headers_to_remove) == ["x-c"]
    assert told(built.response_headers_to_add) == WRITTEN


@pytest.mark.parametrize(
    ("respond", "headers"),
    [
        pytest.param({"body": "hello"}, [("content-type", "text/plain; charset=utf-8")], id="text-unless-said"),
        pytest.param(
            {"body": "{}", "content_type": "application/json"}, [("content-type", "application/json")], id="written"
        ),
        pytest.param({"status": 204}, [], id="nothing-to-describe"),
    ],
)
def test_a_direct_response(respond: dict[str, Any], headers: list[tuple[str, str]]) -> None:
    built = only(upstream=None, respond=respond)

    assert built.direct_response.status == respond.get("status", 200)
    assert built.direct_response.body.inline_string == respond.get("body", "")
    assert [(item.header.key, item.header.value) for item in built.response_headers_to_add] == headers
    assert built.WhichOneof("action") == "direct_response"


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        pytest.param({"scheme": "https"}, {"scheme_redirect": "https"}, id="scheme"),
        pytest.param(
            {"host": "b.example.com", "scheme": "https", "port": 443},
            {"host_redirect": "b.example.com", "scheme_redirect": "https"},
            id="the-port-of-the-scheme",
        ),
        pytest.param(
            {"host": "b.example.com", "scheme": "http", "port": 443},
            {"host_redirect": "b.example.com", "scheme_redirect": "http", "port_redirect": 443},
            id="another-port-than-the-schemes",
        ),
        pytest.param(
            {"scheme": "https", "port": 443}, {"scheme_redirect": "https", "port_redirect": 443}, id="the-clients-host"
        ),
        pytest.param(
            {"port": 8443, "status": 303, "strip_query": True},
            {"port_redirect": 8443, "response_code": "SEE_OTHER", "strip_query": True},
            id="status-and-query",
        ),
    ],
)
def test_a_redirect(redirect: dict[str, Any], expected: dict[str, Any]) -> None:
    built = only(upstream=None, redirect=redirect).redirect

    assert built == route_pb.RedirectAction(**{"response_code": "PERMANENT_REDIRECT", **expected})
