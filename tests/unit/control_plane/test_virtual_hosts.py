"""The route table by its virtual hosts: the same routes, of the same bytes, and nothing else is touched."""

from typing import Any

from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from control_plane.server.difference import difference
from control_plane.snapshot import Resource, Snapshot, resource, snapshot
from control_plane.virtual_hosts import runs_whole, with_virtual_hosts
from control_plane.xds.names import CLUSTER_TYPE, ROUTES, ROUTES_TYPE, VIRTUAL_HOST_TYPE, https_redirect
from control_plane.xds.packing import serialized
from tests.support.compiled import config, route, snapshots

REDIRECT = resource(ROUTES_TYPE, https_redirect(443), b"")


def table(**routes: Any) -> Resource:
    """The table of a gateway with a route a host."""
    written = [
        route(name, f"/{name}", **{"hosts": [f"{name}.example.com"], **changes}) for name, changes in routes.items()
    ]
    return snapshots(config(routes=written))[0].of(ROUTES_TYPE)[ROUTES]


def seen(*resources: Resource) -> Snapshot:
    return with_virtual_hosts(snapshot(resources))


def test_the_parts_make_the_table() -> None:
    whole = table(a={}, b={})

    found = seen(whole)

    made = RouteConfiguration.FromString(found.of(ROUTES_TYPE)[ROUTES].body)
    assert made.vhds.config_source.HasField("ads")
    made.ClearField("vhds")
    hosts = found.of(VIRTUAL_HOST_TYPE)
    assert set(hosts) == {f"{ROUTES}/{domain}" for domain in ("*", "a.example.com", "b.example.com")}
    for name, item in hosts.items():
        host = VirtualHost.FromString(item.body)
        assert (item.name, host.name) == (name, name)  # Envoy finds what is removed by either
        host.name = name.removeprefix(f"{ROUTES}/")
        made.virtual_hosts.append(host)
    assert serialized(made) == serialized(RouteConfiguration.FromString(whole.body))


def test_an_edit_changes_the_hosts_that_it_is_about() -> None:
    before = seen(table(a={}, b={}))
    after = seen(table(a={}, b={"timeout": "9s"}))

    changed = f"{ROUTES}/b.example.com"
    old, new = before.of(VIRTUAL_HOST_TYPE), after.of(VIRTUAL_HOST_TYPE)
    assert set(difference(old, new)) == {changed}
    assert {name for name in new if new[name] is not old[name]} == {changed}
    assert not difference(before.of(ROUTES_TYPE), after.of(ROUTES_TYPE))


def test_everything_else_is_as_it_was() -> None:
    other = resource(CLUSTER_TYPE, "c", b"body")
    whole = snapshot([table(a={}), REDIRECT, other])

    found = with_virtual_hosts(whole)

    assert found.of(ROUTES_TYPE)[REDIRECT.name] is REDIRECT
    assert found.of(CLUSTER_TYPE) is whole.of(CLUSTER_TYPE)
    assert with_virtual_hosts(whole) is found
    assert VIRTUAL_HOST_TYPE not in whole.resources


def test_a_snapshot_without_the_table_has_no_parts() -> None:
    bare = snapshot([REDIRECT])

    assert with_virtual_hosts(bare) is bare


def test_whoever_comes_back_says_by_its_version_what_it_runs() -> None:
    whole = table(a={})
    apart = seen(whole).of(ROUTES_TYPE)[ROUTES]

    assert runs_whole({ROUTES: whole.version})
    assert not runs_whole({ROUTES: apart.version})
    assert not runs_whole({REDIRECT.name: REDIRECT.version})
