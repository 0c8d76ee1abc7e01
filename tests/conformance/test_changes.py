"""Statements 44 to 53: changes and removals."""

import asyncio

import pytest
from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb

from control_plane.server.types import ENVOY_PUSH_ORDER
from control_plane.snapshot import EMPTY, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE
from tests.conformance.client import Client
from tests.conformance.modes import Mode, in_every_mode, of_types, over_separate_streams
from tests.conformance.server import Server, start, without, world
from tests.support.xds import cluster, endpoints, listener, routes, secret


def all_types(name: str, number: int) -> list:
    """A resource of each type by this name, with this content."""
    return [
        secret(name, str(number)),
        cluster(name, connect_ms=number),
        endpoints(name, number),
        listener(name, "r", port=number),
        routes(name, **{f"p{number}": "a"}),
    ]


@of_types(*ENVOY_PUSH_ORDER)
@in_every_mode
async def test_44_an_update_holds_what_changed(server: Server, client: Client, type_url: str) -> None:
    server.serve(*all_types("a", 1), *all_types("b", 1))
    await client.ask(type_url, "a", "b")
    await client.take()
    server.serve(*all_types("a", 1), *all_types("b", 2))

    assert (await client.take(type_url)).names == ["b"]
    await client.silent()


@of_types(*ENVOY_PUSH_ORDER)
@in_every_mode
async def test_45_what_is_gone_is_removed_once(server: Server, client: Client, type_url: str) -> None:
    server.serve(*all_types("a", 1), *all_types("b", 1))
    await client.ask(type_url, "a", "b")
    await client.take()
    server.serve(*all_types("b", 1))
    assert (await client.take(type_url)).names == ["-a"]
    await client.silent()

    server.serve(*all_types("b", 2))
    assert (await client.take(type_url)).names == ["b"]


@pytest.mark.parametrize("asked", [(), ("*",), ("a", "b", "c", "d")], ids=["nothing", "asterisk", "names"])
@pytest.mark.parametrize(
    ("type_url", "difference"), [(LISTENER_TYPE, ["b", "d", "-c"]), (CLUSTER_TYPE, ["b", "d"])], ids=["LDS", "CDS"]
)
@in_every_mode
async def test_46_a_client_that_comes_back_gets_the_difference(
    server: Server, client: Client, mode: Mode, asked: tuple[str, ...], type_url: str, difference: list[str]
) -> None:
    """But for clusters that are gone: its routes may be of then, and need them till it has others."""
    server.serve(*all_types("a", 1), *all_types("b", 1), *all_types("c", 1))
    await client.ask(type_url, *asked)
    await client.take()
    await client.close()
    server.serve(*all_types("a", 1), *all_types("b", 2), *all_types("d", 1))
    async with server.client(mode) as back:
        await back.resume(type_url, client)

        assert (await back.take()).names == difference
        await back.silent()


@in_every_mode
async def test_46_a_client_that_comes_back_with_everything_gets_nothing(
    server: Server, client: Client, mode: Mode
) -> None:
    server.serve(*world())
    await start(client)
    await client.close()
    async with server.client(mode) as back:
        for type_url in ENVOY_PUSH_ORDER:
            await back.resume(type_url, client)
        await back.silent()
        server.serve(*world(port=81))
        assert (await back.take(ENDPOINTS_TYPE)).names == ["a"]


@over_separate_streams
async def test_46_a_stream_that_comes_back_with_endpoints_of_clusters_that_it_was_sent_long_ago_gets_nothing(
    server: Server, client: Client, mode: Mode
) -> None:
    server.serve(*world())
    await start(client)
    async with server.client(mode) as back:
        await back.resume(ENDPOINTS_TYPE, client)
        await back.silent()


@in_every_mode
async def test_47_initial_versions_count_in_the_first_message_only(server: Server, client: Client) -> None:
    server.serve(*all_types("a", 1), *all_types("b", 1))
    await client.ask(ENDPOINTS_TYPE, "a")
    await client.take()
    held = {"b": endpoints("b", 1).version}
    await client.send(ENDPOINTS_TYPE, resource_names_subscribe=["b"], initial_resource_versions=held)

    assert (await client.take()).names == ["b"]


@pytest.mark.parametrize("names", [(), ("*",)], ids=["nothing", "asterisk"])
@of_types(CLUSTER_TYPE, LISTENER_TYPE)
@in_every_mode
async def test_48_the_first_request_for_all_is_answered_though_there_is_nothing(
    server: Server, client: Client, type_url: str, names: tuple[str, ...]
) -> None:
    server.serve()
    await client.ask(type_url, *names)
    assert (await client.take(type_url)).names == []
    await client.silent()


@in_every_mode
async def test_49_names_beside_the_asterisk_after_reconnecting_still_mean_all(server: Server, client: Client) -> None:
    server.serve(*all_types("a", 1), *all_types("b", 1))
    held = {"a": cluster("a", connect_ms=1).version, "b": cluster("b", connect_ms=1).version}
    await client.send(CLUSTER_TYPE, resource_names_subscribe=["*", "a", "b"], initial_resource_versions=held)
    await client.rest()
    server.serve(*all_types("a", 1), *all_types("c", 1))

    assert (await client.take()).names == ["c", "-b"]


@of_types(CLUSTER_TYPE, LISTENER_TYPE)
@in_every_mode
async def test_50_absence_deletes_and_an_empty_list_is_sent(server: Server, client: Client, type_url: str) -> None:
    server.serve()
    await client.ask(type_url)
    assert (await client.take()).names == []
    server.serve(*all_types("a", 1), *all_types("b", 1))
    assert (await client.take()).names == ["a", "b"]
    server.serve(*all_types("a", 1), *all_types("b", 2))
    assert (await client.take()).names == ["a", "b"], "what did not change is there too"
    server.serve(*all_types("b", 2))
    assert (await client.take()).names == ["b"]

    server.serve()
    assert (await client.take(type_url)).names == []
    await client.silent()


@of_types(ENDPOINTS_TYPE, ROUTES_TYPE, SECRET_TYPE)
@in_every_mode
async def test_51_absence_deletes_nothing_of_types_that_are_asked_by_name(
    server: Server, client: Client, type_url: str
) -> None:
    server.serve(*all_types("a", 1), *all_types("b", 1))
    await client.ask(type_url, "a", "b")
    await client.take()
    server.serve(*without(tuple(all_types("a", 1)), type_url), *all_types("b", 1))
    await client.silent()
    server.serve(*without(tuple(all_types("a", 1)), type_url), *all_types("b", 2))

    assert (await client.take()).names == ["b"]


@in_every_mode
async def test_52_a_snapshot_of_nothing_hurts_no_open_subscription(server: Server, client: Client) -> None:
    server.serve(*world())
    await start(client)
    server.xds.ads.set_snapshot("tollgate-envoy", EMPTY)
    gone = {found.type_url for found in await client.rest()}
    assert gone >= {CLUSTER_TYPE, LISTENER_TYPE}
    server.serve(*world(text="2", timeout=2, port=2, prefix="2", path="b"))

    assert {found.type_url for found in await client.rest() if found.given} == set(ENVOY_PUSH_ORDER)


def _timeouts(found: dict[str, bytes]) -> set[int]:
    return {cluster_pb.Cluster.FromString(body).connect_timeout.ToMilliseconds() for body in found.values()}


@in_every_mode
async def test_53_no_response_mixes_two_snapshots(server: Server, client: Client) -> None:
    """Snapshots change faster than the client follows; each response is one of them."""
    worlds = {number: [cluster(f"c{each}", connect_ms=number) for each in range(20)] for number in range(1, 101)}
    versions = {number: snapshot(found).version(CLUSTER_TYPE) for number, found in worlds.items()}

    async def swap() -> None:
        for found in worlds.values():
            server.serve(*found)
            await asyncio.sleep(0.001)

    server.serve(*worlds[1])
    await client.ask(CLUSTER_TYPE)
    swapping = asyncio.create_task(swap())
    seen = 0
    while seen < len(worlds):
        response = await client.take()
        (seen,) = _timeouts(response.bodies)
        assert (len(response.given), response.version) == (20, versions[seen])
    await swapping
