"""Listeners are made of a part of the gateway: it has all that any filter depends on, and of the rest nothing."""

from collections.abc import Mapping
from typing import Any

import pytest

from control_plane.ir.model import Gateway
from control_plane.xds.listener.listeners import listeners, shown_to_listeners
from tests.support.compiled import IDENTITY, WIRING, compiled, config, private, route

LOCAL = {"requests": "5/minute", "per": "ip", "scope": "instance"}
UPSTREAMS = {
    "email": {"url": "http://127.0.0.1:9001"},
    "needed": {"url": "http://127.0.0.1:9002", "readiness": "required", "health_check": {}},
}
PLAIN: dict[str, dict[str, Any]] = {
    "plain": {},
    "counted": {"limits": [{"requests": "5/minute", "per": "ip"}]},
    "endless": {"websocket": True},
    "listed": {"allow_ips": ["10.0.0.0/8"]},
    "merged": {"request_body": {"merge": {"a": 1}}},
}
WITH_FILTERS: dict[str, dict[str, Any]] = {
    "kept-here": {"limits": [LOCAL]},
    "large": {"body_limit": "16MiB"},
    "pages": {"cors": {"origins": ["https://a.example.com"]}},
    "cached": {"cache": {}},
    "slow": {"bandwidth": {"upload": "1MiB"}},
    "broken": {"fault": {"abort": {"status": 500}}},
    "bounded": {"adaptive_concurrency": {}},
}


def gateway(routes: Mapping[str, Mapping[str, Any]]) -> Gateway:
    return compiled(
        config(
            listeners={"public": {"address": "127.0.0.1:8800"}, "inner": {"address": "127.0.0.1:8802"}},
            upstreams=UPSTREAMS,
            identity=IDENTITY,
            plans={"free": {"limits": [{**LOCAL, "per": "subject"}]}},
            routes=[
                private("private", "/private"),
                *(route(name, f"/{name}", **changes) for name, changes in routes.items()),
            ],
        )
    ).gateway


def made(whole: Gateway) -> list[bytes]:
    return [bytes(found) for item in whole.listeners for found in listeners(whole, item, WIRING)]


@pytest.mark.parametrize("name", [*PLAIN, *WITH_FILTERS])
def test_listeners_are_those_of_the_whole_gateway(name: str) -> None:
    whole = gateway({name: {**PLAIN, **WITH_FILTERS}[name]})

    assert made(shown_to_listeners(whole)) == made(whole)


def test_an_edit_of_a_plain_route_changes_nothing_that_listeners_are_made_of() -> None:
    before, after = gateway({**PLAIN, **WITH_FILTERS}), gateway(WITH_FILTERS)

    assert shown_to_listeners(after) == shown_to_listeners(before)
    assert {item.name for item in shown_to_listeners(before).routes} == set(WITH_FILTERS)
    assert {item.name for item in shown_to_listeners(before).upstreams} == {"needed"}


def test_listeners_of_a_gateway_that_translates_are_those_of_the_whole() -> None:
    whole = compiled(
        config(
            upstreams={"local": {"url": "http://127.0.0.1:9001", "api": "ollama-native"}},
            models=[{"name": "clever", "upstream": "local"}],
            llm={"auth": "none"},
        )
    ).gateway

    assert made(shown_to_listeners(whole)) == made(whole)
