"""Statements 12 to 24: versions, nonces, and verdicts."""

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from control_plane.server.types import ENVOY_PUSH_ORDER
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, ROUTES_TYPE, SECRET_TYPE
from service_kit.endpoint import UnixEndpoint
from tests.conformance.client import connected
from tests.conformance.modes import Mode, in_every_mode
from tests.conformance.replica import replica
from tests.conformance.server import ASKED, Client, Server, running_server, start, world
from tests.support.eventually import eventually
from tests.support.xds import cluster, endpoints, listener, routes


@pytest.fixture(scope="module")
def another_process() -> Iterator[UnixEndpoint]:
    """A server of the same world in a process of its own."""
    with replica() as at:
        yield at


@in_every_mode
async def test_12_every_response_has_a_nonce_of_its_own(server: Server, client: Client, mode: Mode) -> None:
    nonces = []
    server.serve(*world())
    for type_url in ENVOY_PUSH_ORDER:
        await client.ask(type_url, *ASKED[type_url])
        nonces.append((await client.take(type_url)).nonce)
    for port in range(81, 86):
        server.serve(*world(port=port))
        nonces.append((await client.take(ENDPOINTS_TYPE)).nonce)
    async with server.client(mode) as again:
        await again.ask(CLUSTER_TYPE)
        nonces.append((await again.take()).nonce)

    assert len({*nonces, ""}) == len(nonces) + 1


async def _versions(client: Client) -> dict[str, object]:
    """The version of each type, and in delta that of each resource."""
    found: dict[str, object] = {}
    for type_url in ENVOY_PUSH_ORDER:
        await client.ask(type_url, *ASKED[type_url])
        response = await client.take(type_url)
        found[type_url] = (response.version, response.versions)
    return found


@in_every_mode
async def test_13_equal_content_has_equal_versions_everywhere(
    server: Server, client: Client, mode: Mode, another_process: UnixEndpoint
) -> None:
    server.serve(*world())
    versions = await _versions(client)
    assert all(version for version, _ in versions.values())
    async with running_server() as restarted, restarted.client(mode) as again:
        restarted.serve(*random.sample(world(), len(world())))
        assert await _versions(again) == versions
    async with connected(another_process, mode) as elsewhere:
        assert await _versions(elsewhere) == versions

    server.serve(*world(text="another"))
    assert (await client.take(SECRET_TYPE)).version != versions[SECRET_TYPE][0]
    server.serve(*world())
    assert (await client.take(SECRET_TYPE)).version == versions[SECRET_TYPE][0]


@in_every_mode
async def test_14_an_ack_is_not_answered(server: Server, client: Client) -> None:
    server.serve(*world())
    await start(client)
    await client.silent()

    assert all(status.converged for status in server.statuses())


@in_every_mode
async def test_15_a_nack_is_told_by_its_error_alone(server: Server, client: Client, mode: Mode) -> None:
    server.serve(cluster("a"))
    await client.ask(CLUSTER_TYPE)
    await client.take()
    server.serve(cluster("a", connect_ms=2))
    second = await client.next()
    old = {} if mode.delta else {"version_info": "of long ago"}
    await client.send(CLUSTER_TYPE, response_nonce=second.nonce, **old)
    await eventually(lambda: server.status(CLUSTER_TYPE).acked == second.version)
    assert server.status(CLUSTER_TYPE).refusal is None, "an old version is no refusal"

    server.serve(cluster("a", connect_ms=3))
    third = await client.next()
    new = {} if mode.delta else {"version_info": third.version}
    await client.send(CLUSTER_TYPE, response_nonce=third.nonce, error_detail={"message": ""}, **new)
    await eventually(lambda: server.status(CLUSTER_TYPE).refusal)
    assert server.status(CLUSTER_TYPE).acked == second.version, "the new version is no consent, nor is an empty error"


@in_every_mode
async def test_16_refused_content_is_not_sent_again(server: Server, client: Client) -> None:
    server.serve(cluster("a"))
    await client.ask(CLUSTER_TYPE)
    await client.take()
    server.serve(cluster("a", connect_ms=2))
    await client.nack(await client.next())
    await client.silent()
    server.serve(cluster("a", connect_ms=2), listener("unasked", "r"))
    await client.silent()

    server.serve(cluster("a", connect_ms=3))
    assert (await client.take(CLUSTER_TYPE)).names == ["a"]
    await client.silent()
    assert server.figure("tollgate_xds_nacks_total", type="Cluster") == 1


@in_every_mode
async def test_16_what_was_refused_along_with_a_fault_comes_with_its_repair(server: Server, client: Client) -> None:
    server.serve(cluster("a"), cluster("b"))
    await client.ask(CLUSTER_TYPE)
    await client.take()
    server.serve(cluster("a", connect_ms=2), cluster("b", connect_ms=2))
    await client.nack(await client.next())
    server.serve(cluster("a", connect_ms=3), cluster("b", connect_ms=2))

    assert (await client.take(CLUSTER_TYPE)).names == ["a", "b"]


@in_every_mode
async def test_17_a_refusal_is_kept_and_can_be_read(server: Server, client: Client) -> None:
    server.serve(cluster("a"))
    await client.ask(CLUSTER_TYPE)
    good = await client.take()
    server.serve(cluster("a", connect_ms=2))
    refused = await client.next()
    await client.nack(refused, "connect_timeout is too short")
    await eventually(lambda: server.status(CLUSTER_TYPE).refusal)

    status = server.status(CLUSTER_TYPE)
    refusal = status.refusal
    assert (refusal.message, refusal.nonce) == ("connect_timeout is too short", refused.nonce)
    assert (refusal.version, status.sent, status.acked) == (refused.version, refused.version, good.version)
    assert server.statuses()[0].connected_at <= refusal.at == status.since


@in_every_mode
async def test_18_a_later_push_that_is_taken_clears_the_error(server: Server, client: Client) -> None:
    server.serve(cluster("a"))
    await client.ask(CLUSTER_TYPE)
    await client.take()
    server.serve(cluster("a", connect_ms=2))
    await client.nack(await client.next())
    await eventually(lambda: server.status(CLUSTER_TYPE).refusal)
    server.serve(cluster("a", connect_ms=3))
    good = await client.take()

    await eventually(lambda: server.status(CLUSTER_TYPE).acked == good.version)
    assert (server.status(CLUSTER_TYPE).refusal, server.statuses()[0].converged) == (None, True)


@in_every_mode
async def test_18_what_ran_before_the_refused_push_is_offered_when_it_is_served_again(
    server: Server, client: Client
) -> None:
    server.serve(cluster("a"))
    await client.ask(CLUSTER_TYPE)
    good = await client.take()
    server.serve(cluster("a", connect_ms=2))
    await client.nack(await client.next())
    server.serve(cluster("a"))

    assert (await client.take()).version == good.version
    await eventually(lambda: server.status(CLUSTER_TYPE).refusal is None)


@in_every_mode
async def test_19_a_stale_nonce_is_not_answered_and_undoes_nothing(server: Server, client: Client) -> None:
    server.serve(endpoints("a", 1), endpoints("b", 1))
    await client.ask(ENDPOINTS_TYPE, "a")
    first = await client.take()
    server.serve(endpoints("a", 2), endpoints("b", 2))
    second = await client.next()
    await client.send(ENDPOINTS_TYPE, resource_names=["a", "b"], response_nonce=first.nonce, version_info=first.version)
    await client.silent()
    await client.ack(second)
    await client.send(
        ENDPOINTS_TYPE, resource_names=[], response_nonce=first.nonce, error_detail={"code": 3, "message": "stale"}
    )
    await client.silent()

    server.serve(endpoints("a", 3), endpoints("b", 3))
    assert (await client.take()).names == ["a"]
    assert server.status(ENDPOINTS_TYPE).refusal is None


@in_every_mode
async def test_20_names_beside_a_stale_nonce_count(server: Server, client: Client) -> None:
    server.serve(*(endpoints(name, 1) for name in "abc"))
    await client.ask(ENDPOINTS_TYPE, "a", "b")
    first = await client.take()
    server.serve(*(endpoints(name, 2) for name in "abc"))
    second = await client.next()
    await client.send(
        ENDPOINTS_TYPE,
        resource_names_subscribe=["c"], resource_names_unsubscribe=["b"], response_nonce=first.nonce,
    )  # fmt: skip
    await client.silent()  # one push at a time [63]

    await client.ack(second)
    assert (await client.take()).names == ["c"]
    server.serve(*(endpoints(name, 3) for name in "abc"))
    assert (await client.take()).names == ["a", "c"]


@in_every_mode
async def test_21_a_nonce_of_an_earlier_stream_makes_a_first_request(
    server: Server, client: Client, mode: Mode
) -> None:
    server.serve(cluster("a"), routes("r", a="a"))
    await client.ask(CLUSTER_TYPE)
    await client.ask(ROUTES_TYPE, "r")
    earlier = {type_url: (await client.take(type_url)).nonce for type_url in (CLUSTER_TYPE, ROUTES_TYPE)}
    async with server.client(mode) as back:
        await back.want(CLUSTER_TYPE, response_nonce=earlier[CLUSTER_TYPE], version_info="another")
        assert (await back.take(CLUSTER_TYPE)).names == ["a"]
        await back.want(ROUTES_TYPE, "r", response_nonce=earlier[ROUTES_TYPE])
        assert (await back.take(ROUTES_TYPE)).names == ["r"]
        server.serve(cluster("a", connect_ms=2), routes("r", a="a"))
        assert (await back.take(CLUSTER_TYPE)).names == ["a"]


@in_every_mode
async def test_22_a_resend_is_spared_only_where_that_is_safe(server: Server, client: Client, mode: Mode) -> None:
    server.serve(cluster("a"), routes("r", a="a"), routes("s", a="a"))
    await client.ask(CLUSTER_TYPE)
    await client.ask(ROUTES_TYPE, "r")
    held = {type_url: (await client.take(type_url)).version for type_url in (CLUSTER_TYPE, ROUTES_TYPE)}
    async with server.client(mode, node="has-it") as back:
        await back.want(CLUSTER_TYPE, version_info=held[CLUSTER_TYPE])
        await back.want(ROUTES_TYPE, "r", "s", version_info=held[ROUTES_TYPE])
        while (found := await back.take()).type_url == CLUSTER_TYPE:
            assert found.names == ["a"], "to send it nevertheless is allowed"
        assert "s" in found.names, "it had one name of the version, and asks for two"

    async with server.client(mode, node="has-another") as back:
        server.serve(cluster("b"))
        await back.want(CLUSTER_TYPE, version_info=held[CLUSTER_TYPE])
        assert (await back.take(CLUSTER_TYPE)).names == ["b"]


@in_every_mode
async def test_23_names_that_change_during_a_push_are_not_lost(server: Server, client: Client) -> None:
    server.serve(*(endpoints(name, 1) for name in "abc"))
    await client.ask(ENDPOINTS_TYPE, "a")
    await client.take()
    server.serve(*(endpoints(name, 2) for name in "abc"))
    await client.ask(ENDPOINTS_TYPE, "b")  # crosses the push of a on its way: its nonce is not that of the push
    crossed = await client.take()
    if "b" not in crossed.names:  # then with the ACK, which names it
        assert "b" in (await client.take()).names
    await client.silent()

    server.serve(*(endpoints(name, 3) for name in "abc"))
    assert (await client.take()).names == ["a", "b"]


@in_every_mode
async def test_24_every_response_has_a_nonce_and_a_spontaneous_request_has_none(server: Server, client: Client) -> None:
    server.serve(*(endpoints(name, 1) for name in "abc"))
    responses = []
    for name in "abc":
        await client.ask(ENDPOINTS_TYPE, name)
        responses.append(await client.take())

    assert [found.names for found in responses] == [["a"], ["b"], ["c"]]
    assert all(one.nonce and one.nonce != other.nonce for one, other in pairwise(responses))
    await client.silent()
