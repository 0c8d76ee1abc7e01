"""Groups of routes that bodies choose among, and the listeners inside: no snapshot goes out in which one is open."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest
from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)

from control_plane.consistency import InconsistentSnapshot, checked
from control_plane.snapshot import Snapshot
from control_plane.xds import names
from control_plane.xds.filters.per_route import ON
from control_plane.xds.filters.profile_guard import guarded
from tests.support.compiled import IDENTITY, config, snapshots, with_resource, without

VARIANT = "llm:local:one~openai~failover"
LAST, MEMBER, STRAIGHT = "chat:", "chat:one", "chat:three"
Edit = Callable[[route_pb.Route], None]


@cache
def compiled() -> tuple[Snapshot, Snapshot]:
    """A model with another behind it, another that is alone, and a limit that each Envoy keeps."""
    return snapshots(
        config(
            identity=IDENTITY,
            defaults={"auth": ["bearer"]},
            upstreams={
                "local": {"url": "http://127.0.0.1:9001", "api": "ollama"},
                "openai": {"url": "http://127.0.0.1:9002/v1", "api": "openai"},
                "native": {"url": "http://127.0.0.1:9003", "api": "ollama-native"},
            },
            models=[
                {"name": "one", "upstream": "local", "fallback": [{"upstream": "openai"}],
                 "limits": [{"requests": "5/second", "scope": "instance"}, {"tokens": "10000/minute"}]},
                {"name": "two", "upstream": "native"},
                {"name": "three", "upstream": "local"},
            ],
        )
    )  # fmt: skip


def edited(name: str, edit: Edit) -> Iterator[str]:
    """The faults of a table with one route changed."""
    envoy, policies = compiled()
    table = route_configuration_pb.RouteConfiguration.FromString(envoy.of(names.ROUTES_TYPE)[names.ROUTES].body)
    for host in table.virtual_hosts:
        for route in (route for route in host.routes if route.name == name):
            edit(route)
    return faults(with_resource(envoy, names.ROUTES_TYPE, names.ROUTES, table), policies)


def faults(envoy: Snapshot, policies: Snapshot) -> Iterator[str]:
    try:
        checked(envoy, policies)
    except InconsistentSnapshot as error:
        yield from error.faults


def forget(filter_name: str) -> Edit:
    def edit(route: route_pb.Route) -> None:
        del route.typed_per_filter_config[filter_name]

    return edit


def say(filter_name: str, of_profile: str) -> Edit:
    return lambda route: route.typed_per_filter_config[filter_name].CopyFrom(guarded(of_profile))


def go_to(cluster: str) -> Edit:
    def edit(route: route_pb.Route) -> None:
        route.route.cluster = cluster

    return edit


def turn_on(filter_name: str) -> Edit:
    return lambda route: route.typed_per_filter_config[filter_name].CopyFrom(ON)


def test_what_is_compiled_is_right() -> None:
    assert [*faults(*compiled())] == []


@pytest.mark.parametrize(
    ("route", "edit", "fault"),
    [
        pytest.param(MEMBER, say(names.PROFILE_GUARD, "p-other"), "another profile than the group", id="profile"),
        pytest.param(LAST, go_to("local"), "goes to an upstream", id="open"),
        pytest.param(LAST, forget(names.BODY_GUARD), "read and guarded", id="unguarded"),
        pytest.param(LAST, forget(names.INSTANCE_LIMITS), "which its group leaves off", id="limits-off"),
        pytest.param(LAST, forget(names.MODEL_GUARD), "which its group leaves off", id="permission-off"),
        pytest.param(LAST, forget(names.EVENTS), "which its group leaves off", id="usage-off"),
        pytest.param(LAST, forget(names.TOKEN_GUARD), "nothing before has read", id="no-last"),
        pytest.param(MEMBER, forget(names.MODEL_GUARD), "who may call its model", id="permission-forgotten"),
        pytest.param(MEMBER, forget(names.BODY_REWRITE), "without a guard", id="not-rewritten"),
        pytest.param(MEMBER, forget(names.STREAM_ENDS), "begins a hold without its numbers or its end", id="no-end"),
        pytest.param(MEMBER, turn_on(names.MODEL_GUARD), "does not read it", id="permission-of-nobody"),
        pytest.param(MEMBER, turn_on(names.BODY_REWRITE), "does not read it", id="rewritten-to-itself"),
        pytest.param(MEMBER, turn_on(names.CACHE), "not in the chain", id="cache"),
    ],
)
def test_a_group_is_closed(route: str, edit: Edit, fault: str) -> None:
    assert any(fault in found for found in edited(route, edit))


def unmark(route: route_pb.Route) -> None:
    route.ClearField("response_headers_to_add")


@pytest.mark.parametrize("route", [STRAIGHT, MEMBER])
def test_no_client_is_told_of_the_gateways_own_credential(route: str) -> None:
    assert any("the gateway's own credential" in found for found in edited(route, unmark))


def tell(header: str) -> Edit:
    return lambda route: route.request_headers_to_remove.remove(header)


def tell_the_host(route: route_pb.Route) -> None:
    route.route.append_x_forwarded_host = True


TELLING = (
    pytest.param(tell("cookie"), "tells a model's provider who calls: cookie", id="cookie"),
    pytest.param(tell("x-tollgate-subject"), "who calls: x-tollgate-subject", id="subject"),
    pytest.param(tell_the_host, "which host the client asked for", id="host"),
)


@pytest.mark.parametrize(("edit", "fault"), TELLING)
def test_a_provider_that_is_called_straight_is_not_told_who_calls(edit: Edit, fault: str) -> None:
    assert any(fault in found for found in edited(STRAIGHT, edit))


@pytest.mark.parametrize(("edit", "fault"), TELLING)
def test_nor_is_one_behind_a_variant(edit: Edit, fault: str) -> None:
    envoy, policies = compiled()
    listener = listener_pb.Listener.FromString(envoy.of(names.LISTENER_TYPE)[VARIANT].body)
    manager = http_connection_manager_pb.HttpConnectionManager()
    (link,) = listener.filter_chains[0].filters
    link.typed_config.Unpack(manager)
    edit(manager.route_config.virtual_hosts[0].routes[0])
    link.typed_config.Pack(manager)

    found = faults(with_resource(envoy, names.LISTENER_TYPE, VARIANT, listener), policies)

    assert any(fault in item for item in found)


def groups_to_nobody(route: route_pb.Route) -> None:
    config = route.route.inline_cluster_specifier_plugin.extension.typed_config
    config.value = config.value.replace(b"llm:openai", b"llm:nobody")


def test_every_target_is_there() -> None:
    assert any("goes to cluster 'llm:nobody" in found for found in edited(MEMBER, groups_to_nobody))


@pytest.mark.parametrize(
    ("type_url", "name", "fault"),
    [
        pytest.param(names.LISTENER_TYPE, VARIANT, "is wanted by a cluster, and is not there", id="listener"),
        pytest.param(names.CLUSTER_TYPE, VARIANT, "no cluster leads to it", id="cluster"),
        pytest.param(
            names.CLUSTER_TYPE, names.TRANSLATOR_CLUSTER, "calls cluster 'tollgate:translator'", id="translator"
        ),
        pytest.param(
            names.CLUSTER_TYPE,
            names.TRANSLATOR_CLUSTER,
            "is never ready: it needs cluster 'tollgate:translator'",
            id="translator that readiness asks",
        ),
    ],
)
def test_a_way_inside_has_both_ends(type_url: str, name: str, fault: str) -> None:
    envoy, policies = compiled()

    assert any(fault in found for found in faults(without(envoy, type_url, name), policies))


def test_an_upstream_behind_is_there() -> None:
    envoy, policies = compiled()
    one_less = without(without(envoy, names.CLUSTER_TYPE, "native"), names.ENDPOINTS_TYPE, "native")

    assert any("calls cluster 'native'" in found for found in faults(one_less, policies))


def test_another_model_moves_no_listener() -> None:
    """Connections of clients stay as they are: nothing of them depends on which models there are."""
    both = {"upstreams": {"local": {"url": "http://127.0.0.1:9001", "api": "ollama"}}, "llm": {"auth": "none"}}
    (before, _), (after, _) = (
        snapshots(config(**both, models=[{"name": name, "upstream": "local"} for name in listed]))
        for listed in ("a", "ab")
    )

    assert before.of(names.LISTENER_TYPE)["public"] == after.of(names.LISTENER_TYPE)["public"]
    assert before.of(names.ROUTES_TYPE) != after.of(names.ROUTES_TYPE)


def test_a_variant_is_an_endpoint_inside() -> None:
    envoy, _ = compiled()
    cluster = cluster_pb.Cluster.FromString(envoy.of(names.CLUSTER_TYPE)[VARIANT].body)
    (endpoint,) = cluster.load_assignment.endpoints[0].lb_endpoints

    assert endpoint.endpoint.address.envoy_internal_address.server_listener_name == VARIANT
