"""Statements 1 to 11: the stream and its node."""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import grpc
import pytest
from envoy.config.core.v3 import base_pb2 as base_pb

from control_plane.server.types import ENVOY_PUSH_ORDER
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE
from tests.conformance.client import Client
from tests.conformance.modes import Mode, in_every_mode, of_types, over_ads, over_separate_streams
from tests.conformance.server import ASKED, Server, start, world
from tests.support.eventually import eventually
from tests.support.xds import cluster, endpoints, listener, routes

UNKNOWN_TYPE = "type.googleapis.com/no.such.Type"
LARGE = 200_000


@in_every_mode
async def test_01_the_node_is_stated_once_a_stream(server: Server, client: Client, mode: Mode) -> None:
    server.serve(*world())
    await start(client)
    await client.ask(ENDPOINTS_TYPE, "later")
    server.serve(*world(), endpoints("later", 1))
    assert "later" in (await client.take(ENDPOINTS_TYPE)).names

    await eventually(lambda: all(status.converged for status in server.statuses()))
    assert len(server.statuses()) == (len(ENVOY_PUSH_ORDER) if mode.separate else 1)


@in_every_mode
async def test_02_a_first_request_without_a_node_is_refused(server: Server, client: Client, mode: Mode) -> None:
    server.serve(cluster("a"))
    async with server.client(mode) as nameless:
        await nameless.send(CLUSTER_TYPE, node=None)
        code, message = await nameless.ended()

    assert (code, "node.id" in message) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    await client.ask(CLUSTER_TYPE)
    assert (await client.take()).names == ["a"], "others are served"


@over_ads
async def test_03_a_request_without_a_type_is_refused(server: Server, client: Client) -> None:
    server.serve(cluster("a"))
    await client.send("")

    code, message = await client.ended()
    assert (code, "type_url" in message) == (grpc.StatusCode.INVALID_ARGUMENT, True)


@of_types(*ENVOY_PUSH_ORDER)
@over_separate_streams
async def test_04_a_service_of_one_type_knows_it(server: Server, client: Client, type_url: str) -> None:
    server.serve(*world())
    names = "resource_names_subscribe" if client.mode.delta else "resource_names"
    await client.send("", on=type_url, **{names: ASKED[type_url]})

    assert len((await client.next(type_url)).given) == 1


@over_ads
async def test_04_every_response_states_its_type(server: Server, client: Client) -> None:
    server.serve(*world())
    for type_url in ENVOY_PUSH_ORDER:
        await client.ask(type_url, *ASKED[type_url])
        assert (await client.take()).type_url == type_url


@over_separate_streams
async def test_04_a_service_of_one_type_refuses_another(server: Server, client: Client) -> None:
    server.serve(*world())
    await client.send(CLUSTER_TYPE, on=LISTENER_TYPE)

    code, message = await client.ended()
    assert (code, LISTENER_TYPE in message) == (grpc.StatusCode.INVALID_ARGUMENT, True)


@over_ads
async def test_05_an_unknown_type_starves_no_other(server: Server, client: Client, mode: Mode) -> None:
    server.serve(cluster("a"))
    await client.ask(UNKNOWN_TYPE, "x")
    if mode.delta:
        assert (await client.next(UNKNOWN_TYPE)).names == ["-x"], "left without an answer on purpose"
    await client.ask(CLUSTER_TYPE)
    assert (await client.take(CLUSTER_TYPE)).names == ["a"]

    server.serve(cluster("a", connect_ms=2))
    assert (await client.take(CLUSTER_TYPE)).names == ["a"]


@in_every_mode
async def test_06_types_do_not_disturb_each_other(server: Server, client: Client) -> None:
    server.serve(*world())
    await start(client)
    server.serve(*world(port=81))
    assert (await client.take(ENDPOINTS_TYPE)).names == ["a"]
    await client.silent()

    await client.drop(ROUTES_TYPE, "r")
    await client.silent()
    server.serve(*world(port=81, prefix="other", path="b"))
    assert (await client.take(LISTENER_TYPE)).names == ["front"]
    await client.silent()


@in_every_mode
async def test_07_streams_of_one_node_share_nothing(server: Server, client: Client, mode: Mode) -> None:
    server.serve(endpoints("a", 1), endpoints("b", 1))
    async with server.client(mode) as other:
        await client.ask(ENDPOINTS_TYPE, "a")
        await other.ask(ENDPOINTS_TYPE, "b")
        one, another = await client.take(), await other.take()
        assert (one.names, another.names, one.nonce != another.nonce) == (["a"], ["b"], True)

        server.serve(endpoints("a", 2), endpoints("b", 2))
        unanswered = await client.next()
        assert (unanswered.names, (await other.take()).names) == (["a"], ["b"])
        await other.send(ENDPOINTS_TYPE, response_nonce=unanswered.nonce)
        server.serve(endpoints("a", 3), endpoints("b", 3))
        if mode.delta:
            assert (await other.take()).names == ["b"]
        await client.silent()

        await client.ack(unanswered)
        assert (await client.take()).names == ["a"]


async def _cancel(client: Client) -> None:
    await client.close()


async def _half_close(client: Client) -> None:
    await client.half_close()
    assert (await client.ended())[0] == grpc.StatusCode.OK


def _kept() -> Counter[str]:
    """Everything of the server that is alive in this process, and the tasks that run."""
    gc.collect()
    ours = (
        type(item).__qualname__ for item in gc.get_objects() if str(type(item).__module__).startswith("control_plane")
    )
    return Counter([*ours, *(repr(task.get_coro()).split(" at ")[0] for task in asyncio.all_tasks())])


@pytest.mark.parametrize("leave", [_cancel, _half_close], ids=["cancelled", "half-closed"])
@in_every_mode
async def test_08_a_stream_that_ends_leaves_nothing(
    server: Server, client: Client, mode: Mode, leave: Callable[[Client], Awaitable[None]]
) -> None:
    """Another of the same node stays: what its streams share holds nothing of those that ended."""
    server.serve(*world())
    await start(client)
    staying = len(server.statuses())

    async def come_and_go() -> None:
        async with server.client(mode) as guest:
            for type_url in (SECRET_TYPE, ENDPOINTS_TYPE, ROUTES_TYPE):
                await guest.ask(type_url, *ASKED[type_url])
                await guest.take(type_url)
            await leave(guest)
            await eventually(lambda: len(server.statuses()) == staying)

    await come_and_go()
    before = _kept()
    for _ in range(3):
        await come_and_go()

    await eventually(lambda: _kept() <= before)
    assert server.figure("tollgate_xds_streams", cluster="tollgate-envoy") == staying


@in_every_mode
async def test_09_a_response_that_cannot_be_sent_ends_its_stream_only(
    server: Server, client: Client, mode: Mode
) -> None:
    """A client that does not read lets the connection fill, and is gone in the middle of a response."""
    server.serve(cluster("a"))
    await client.ask(CLUSTER_TYPE)
    await client.take()
    async with server.client(mode, node="small", options={"grpc.max_receive_message_length": LARGE // 2}) as small:
        await small.ask(CLUSTER_TYPE)
        await small.take()
        server.serve(cluster("a" * LARGE))
        assert (await small.ended())[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "a" * LARGE in (await client.take()).names

    await eventually(lambda: not server.statuses("small"))
    server.serve(cluster("b"))
    assert (await client.take()).names[0] == "b"


@in_every_mode
async def test_10_a_server_that_stops_ends_its_streams_with_a_retryable_status(server: Server, mode: Mode) -> None:
    server.serve(cluster("a"))
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client(mode, node=f"envoy-{n}")) for n in range(3)]
        for each in clients:
            await each.ask(CLUSTER_TYPE)
            await each.next()
        await server.xds.server.stop()

        assert {(await each.ended())[0] for each in clients} == {grpc.StatusCode.UNAVAILABLE}


@in_every_mode
async def test_11_a_fault_in_a_push_costs_that_push_alone(server: Server, client: Client, mode: Mode) -> None:
    server.serve(*world())
    await client.ask(LISTENER_TYPE)
    await client.take()
    async with server.client(mode, node="unlucky") as unlucky:
        await unlucky.ask(CLUSTER_TYPE)
        await unlucky.take()
        broken = replace(cluster("a"), body=object(), version="broken")  # type: ignore[arg-type]  # as a bug would
        server.serve(broken, listener("front", "r", prefix="next"))
        assert (await client.take(LISTENER_TYPE)).names == ["front"], "others are served"
        await eventually(lambda: server.figure("tollgate_xds_stream_faults_total") == 1)

    async with server.client(mode, node="unlucky") as back:
        server.serve(*world(timeout=2))
        await back.ask(CLUSTER_TYPE)
        assert (await back.take()).names == ["a"]


@in_every_mode
async def test_01_a_later_node_changes_nothing(server: Server, client: Client) -> None:
    server.serve(routes("r", a="a"))
    await client.ask(ROUTES_TYPE, "r")
    first = await client.next()
    await client.send(
        ROUTES_TYPE, response_nonce=first.nonce, node=base_pb.Node(id="another", cluster="another"),
        **({} if client.mode.delta else {"resource_names": ["r"], "version_info": first.version}),
    )  # fmt: skip

    await eventually(lambda: server.status(ROUTES_TYPE).acked == first.version)
    assert server.statuses("another") == []
