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
    return {link.name: not link.disabled for link in http_filters(gateway(*routes))}


def switched(config: PerRoute) -> dict[str, bool]:
    """Body limits that a route turns on or off."""
    found = {name: route_pb.FilterConfig.FromString(item.value) for name, item in config.items() if "body" in name}
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

    assert {name: on for name, on in found.items() if "body" in name} == {
        "tollgate.body_limit.1048576": False, DEFAULT: True, "tollgate.body_limit.16777216": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(route(), {}, id="default"),
        pytest.param(route(body_limit="8MiB"), {}, id="default-in-words"),
        pytest.param(route(body_limit="1MiB"), {DEFAULT: False, "tollgate.body_limit.1048576": True}, id="own"),
        pytest.param(route(websocket=True), {DEFAULT: False}, id="websocket"),
        pytest.param(route(websocket=True, body_limit="1MiB"), {DEFAULT: False}, id="websocket-with-a-size"),
    ],
)
def test_what_a_route_says_of_its_body(written: dict[str, Any], expected: dict[str, bool]) -> None:
    assert switched(said(written)) == expected


def test_a_size_that_only_a_websocket_names_makes_no_instance() -> None:
    assert "tollgate.body_limit.1048576" not in chain(route(websocket=True, body_limit="1MiB"))


@pytest.mark.parametrize(
    ("written", "asked"), [pytest.param(route(), False, id="public"), pytest.param(private(), True, id="private")]
)
def test_only_private_routes_ask_the_authorizer(written: dict[str, Any], asked: bool) -> None:
    found = ext_authz_pb.ExtAuthzPerRoute.FromString(said(written)[names.EXT_AUTHZ].value)

    assert found.disabled is not asked
    assert found.HasField("check_settings") is asked


def test_no_route_at_all_is_public_and_asks_nobody() -> None:
    assert set(typed_per_filter_config(None)) == {names.EXT_AUTHZ, names.PROFILE_GUARD}
    assert typed_per_filter_config(None) == said(route())
