"""What the filters say of a route: their names are in the chain, and nobody speaks twice."""

from itertools import pairwise
from typing import Any

import pytest
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2 as ext_authz_pb

from control_plane.consistency import JUDGES
from control_plane.ir.model import Gateway
from control_plane.xds import names
from control_plane.xds.filters.chain import http_filters, typed_per_filter_config
from control_plane.xds.filters.per_route import PerRoute
from tests.support.compiled import IDENTITY, compiled, config, private, route

DEFAULT = "tollgate.body_limit.8388608"


def gateway(*routes: dict[str, Any]) -> Gateway:
    return compiled(config(identity=IDENTITY, routes=list(routes))).gateway


def said(written: dict[str, Any]) -> PerRoute:
    return typed_per_filter_config(gateway(written).routes[0])


def chain(*routes: dict[str, Any]) -> dict[str, bool]:
    """Whether each filter is on by default, in order."""
    built = gateway(*routes)
    return {link.name: not link.disabled for link in http_filters(built, built.listeners[0])}


def switched(config: PerRoute) -> dict[str, bool]:
    """Body limits that a route turns on or off."""
    limits = {name: item for name, item in config.items() if name.startswith(names.BODY_LIMIT)}
    found = {name: route_pb.FilterConfig.FromString(item.value) for name, item in limits.items()}
    return {name: not item.disabled and item.HasField("config") for name, item in found.items()}


def test_the_order_in_which_a_request_is_judged() -> None:
    found = list(chain())

    places = [found.index(name) for name in JUDGES]
    assert all(earlier < later for earlier, later in pairwise(places))
    assert found[:2] == [names.HEALTH, names.READY]
    assert found[-1] == names.ROUTER


def test_every_filter_that_judges_is_on() -> None:
    assert all(chain()[name] for name in JUDGES)


def test_size_classes_are_instances_and_off_until_a_route_asks() -> None:
    found = chain(route(body_limit="1MiB"), route("b", "/b", body_limit="1MiB"), route("c", "/c", body_limit="16MiB"))

    assert {name: on for name, on in found.items() if name.startswith(names.BODY_LIMIT)} == {
        "tollgate.body_limit.1048576": False, DEFAULT: True, "tollgate.body_limit.16777216": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(route(), {}, id="default"),
        pytest.param(route(body_limit="8MiB"), {}, id="default-in-words"),
        pytest.param(route(body_limit="1MiB"), {DEFAULT: False, "tollgate.body_limit.1048576": True}, id="own"),
        pytest.param(route(websocket=True), {DEFAULT: False}, id="websocket"),
    ],
)
def test_what_a_route_says_of_its_body(written: dict[str, Any], expected: dict[str, bool]) -> None:
    assert switched(said(written)) == expected


@pytest.mark.parametrize(
    ("written", "asked"), [pytest.param(route(), False, id="public"), pytest.param(private(), True, id="private")]
)
def test_only_private_routes_ask_the_authorizer(written: dict[str, Any], asked: bool) -> None:
    found = ext_authz_pb.ExtAuthzPerRoute.FromString(said(written)[names.EXT_AUTHZ].value)

    assert found.disabled is not asked
    assert found.HasField("check_settings") is asked


def test_no_route_at_all_is_public_and_asks_nobody() -> None:
    assert set(typed_per_filter_config(None)) == {names.IP_LIST, names.EXT_AUTHZ, names.PROFILE_GUARD}
    assert typed_per_filter_config(None) == said(route())


SHAPED: dict[str, dict[str, Any]] = {
    "cors": {"cors": {"origins": ["https://a.example.com"]}},
    "request_body": {"request_body": {"merge": {"a": 1}}},
    "limits": {"limits": [{"requests": "5/second", "per": "ip", "scope": "instance"}]},
    "bandwidth": {"bandwidth": {"upload": "1MiB", "download": "1MiB"}},
    "fault": {"fault": {"abort": {"status": 500}}},
    "adaptive_concurrency": {"adaptive_concurrency": {}},
    "cache": {"cache": {}},
}
TURNED_ON = {
    "cors": [names.CORS_VARY, names.CORS],
    "request_body": [names.BODY_REWRITE, names.BODY_GUARD],
    "limits": [names.INSTANCE_LIMITS],
    "bandwidth": ["tollgate.bandwidth.upload.email", "tollgate.bandwidth.download.email"],
    "fault": [names.FAULT],
    "adaptive_concurrency": ["tollgate.adaptive_concurrency.email"],
    "cache": [names.CACHE_EDGE, names.CACHE],
}


@pytest.mark.parametrize("key", SHAPED)
def test_what_a_route_asks_for_is_off_for_all_others(key: str) -> None:
    found = chain(route(**SHAPED[key]))

    assert [name for name in found if name in TURNED_ON[key]] == TURNED_ON[key]
    assert not any(found[name] for name in TURNED_ON[key])
    assert set(said(route(**SHAPED[key]))) - set(said(route())) == set(TURNED_ON[key])


@pytest.mark.parametrize("key", SHAPED.keys() - {"request_body"})
def test_what_no_route_asks_for_is_not_there(key: str) -> None:
    assert not set(chain()) & set(TURNED_ON[key])


def test_the_guard_of_bodies_is_there_before_a_route_needs_it() -> None:
    assert set(TURNED_ON["request_body"]) < set(chain())


def test_a_route_with_everything_keeps_the_order() -> None:
    keys: dict[str, Any] = {name: value for key in SHAPED if key != "cache" for name, value in SHAPED[key].items()}
    order = [name for key, turned in TURNED_ON.items() if key not in ("cache", "limits") for name in turned]
    found = [name for name in chain(route(**keys)) if name in order]

    assert found == [
        names.CORS_VARY, names.CORS, names.BODY_REWRITE, names.BODY_GUARD, names.FAULT,
        "tollgate.adaptive_concurrency.email", "tollgate.bandwidth.upload.email", "tollgate.bandwidth.download.email",
    ]  # fmt: skip
