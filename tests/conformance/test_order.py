"""Statements 54 to 65: order, warming, consistency, and what many changes and slow clients do."""

from control_plane.server.types import ENVOY_PUSH_ORDER
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE
from tests.conformance.client import Client
from tests.conformance.modes import Mode, in_every_mode
from tests.conformance.response import Response
from tests.conformance.server import Server, start, world
from tests.support.eventually import eventually
from tests.support.xds import cluster, endpoints, listener, routes, secret

BURST = 10


async def followed(client: Client, *, until: str) -> list[Response]:
    """What a client hears that takes everything, as Envoy does, up to a response of this type."""
    found = [await client.take()]
    while found[-1].type_url != until:
        found.append(await client.take())
    return found


@in_every_mode
async def test_54_one_change_of_everything_arrives_in_order(server: Server, client: Client) -> None:
    server.serve(*world())
    await start(client)
    server.serve(*world(text="2", timeout=2, port=2, prefix="2", path="b"))

    heard = [found.type_url for found in await followed(client, until=ROUTES_TYPE)]
    first, last = ENVOY_PUSH_ORDER[:3], ENVOY_PUSH_ORDER[3:]
    assert heard[3:] == list(last)
    assert set(heard[:3]) == set(first), "on streams of their own these may pass each other: none waits for another"
    assert client.mode.separate or heard[:3] == list(first)
    await eventually(lambda: all(status.converged for status in server.statuses()))


@in_every_mode
async def test_54_a_later_type_waits_for_the_verdict_on_an_earlier_one(server: Server, client: Client) -> None:
    server.serve(*world())
    await start(client)
    server.serve(*world(timeout=2, port=2, prefix="2", path="b"))
    waiting = [await client.next(), await client.next()]
    assert {found.type_url for found in waiting} == {CLUSTER_TYPE, ENDPOINTS_TYPE}
    await client.silent()

    for found in waiting:
        await client.ack(found)
    listeners = await client.next(LISTENER_TYPE)
    await client.ack(listeners)
    await client.take(ROUTES_TYPE)


@in_every_mode
async def test_54_what_nobody_needs_any_more_leaves_last(server: Server, client: Client) -> None:
    async with server.publishing() as releases:
        releases.publish(cluster("old"), endpoints("old", 1), routes("r", a="old"))
        await releases.published()
        await client.ask(CLUSTER_TYPE)
        await client.take(CLUSTER_TYPE)
        for type_url, name in ((ENDPOINTS_TYPE, "old"), (ROUTES_TYPE, "r")):
            await client.ask(type_url, name)
            await client.take(type_url)
        releases.publish(cluster("new"), endpoints("new", 1), routes("r", a="new"))

        first = await client.next(CLUSTER_TYPE)
        assert "new" in first.names
        assert "-old" not in first.names
        await client.ask(ENDPOINTS_TYPE, "new")
        await client.take(ENDPOINTS_TYPE)
        await client.ack(first)
        await client.take(ROUTES_TYPE)
        last = [found for found in await client.rest() if found.type_url == CLUSTER_TYPE]
        assert [found.names for found in last] == [["-old"] if client.mode.delta else ["new"]]


@in_every_mode
async def test_55_what_is_new_comes_before_what_is_old_goes(server: Server, client: Client) -> None:
    """A listener leaves as others come, and Envoy removes before it adds: a new one may need its address."""
    async with server.publishing() as releases:
        releases.publish(cluster("old"), listener("old", "old", port=1), routes("old", a="old"))
        await releases.published()
        for type_url, names in ((CLUSTER_TYPE, ()), (LISTENER_TYPE, ()), (ROUTES_TYPE, ("old", "new"))):
            await client.ask(type_url, *names)
            await client.take(type_url)
        releases.publish(cluster("new"), listener("new", "new", port=2), routes("new", a="new"))
        heard = [await client.take(), *await client.rest()]
        await releases.published()
        heard += await client.rest()

    came = [found.type_url for found in heard if found.given]
    went = [found.type_url for found in heard if found.removed]
    assert came == [CLUSTER_TYPE, LISTENER_TYPE, ROUTES_TYPE]
    assert went == [LISTENER_TYPE, ROUTES_TYPE, CLUSTER_TYPE]
    assert [found.names for found in heard] == [["new"], ["new", "-old"], ["new", "-old"], ["-old"]]


@in_every_mode
async def test_56_a_cluster_stays_until_the_route_that_left_it_is_acked(server: Server, client: Client) -> None:
    async with server.publishing() as releases:
        releases.publish(cluster("a"), cluster("b"), routes("r", a="b"))
        await releases.published()
        await client.ask(CLUSTER_TYPE)
        await client.take()
        await client.ask(ROUTES_TYPE, "r")
        await client.take()
        releases.publish(cluster("a", connect_ms=2), routes("r", a="a"))
        assert (await client.take(CLUSTER_TYPE)).names == ["a", "b"]
        moved = await client.next(ROUTES_TYPE)
        await client.silent()

        await client.ack(moved)
        assert (await client.take(CLUSTER_TYPE)).names == ["a"]


@in_every_mode
async def test_57_a_changed_cluster_gets_its_unchanged_endpoints(server: Server, client: Client) -> None:
    server.serve(*world())
    await start(client)
    server.serve(*world(timeout=2))
    await client.take(CLUSTER_TYPE)
    if client.mode.delta:  # Envoy (1.40) does not ask here
        assert (await client.take(ENDPOINTS_TYPE)).bodies == {"a": endpoints("a", 80).body}
    await client.ask(ENDPOINTS_TYPE, "a")

    assert (await client.take(ENDPOINTS_TYPE)).bodies == {"a": endpoints("a", 80).body}


@in_every_mode
async def test_57_endpoints_warm_a_cluster_that_is_not_acked_before_it_has_them(server: Server, client: Client) -> None:
    server.serve(*world())
    await start(client)
    server.serve(*world(timeout=2, port=81))
    changed = await client.next(CLUSTER_TYPE)
    await client.ask(ENDPOINTS_TYPE, "a")
    assert (await client.take(ENDPOINTS_TYPE)).bodies == {"a": endpoints("a", 81).body}

    await client.ack(changed)
    await client.rest()
    await eventually(lambda: all(status.converged for status in server.statuses()))


@in_every_mode
async def test_57_endpoints_are_not_lost_while_those_of_another_are_on_their_way(
    server: Server, client: Client
) -> None:
    """What is asked for again crosses the push of another: the request is stale, and the ACK is all that follows."""
    served = [cluster("a"), endpoints("a", 1), cluster("b"), endpoints("b", 1)]
    server.serve(*served)
    await client.ask(CLUSTER_TYPE)
    await client.take(CLUSTER_TYPE)
    await client.ask(ENDPOINTS_TYPE, "a", "b")
    before = await client.take(ENDPOINTS_TYPE)
    server.serve(cluster("a", connect_ms=2), *served[1:3], endpoints("b", 2))
    heard = {found.type_url: found for found in (await client.next(), await client.next())}
    if not client.mode.delta:
        await client.send(
            ENDPOINTS_TYPE, resource_names=["a", "b"], response_nonce=before.nonce, version_info=before.version
        )
    warm = heard[ENDPOINTS_TYPE]
    await client.ack(warm)
    if "a" not in warm.names:
        warm = await client.take(ENDPOINTS_TYPE)

    assert "a" in warm.names
    await client.ack(heard[CLUSTER_TYPE])


@in_every_mode
async def test_57_who_comes_back_with_endpoints_gets_them_again_for_a_cluster_that_changed_meanwhile(
    server: Server, client: Client, mode: Mode
) -> None:
    """The cluster is on its way, or taken, before the client says which endpoints it has; and no others come again."""
    rest = (endpoints("a", 1), cluster("b"), endpoints("b", 1))
    server.serve(cluster("a"), *rest)
    for type_url, names in ((CLUSTER_TYPE, ()), (ENDPOINTS_TYPE, ("a", "b"))):
        await client.ask(type_url, *names)
        await client.take(type_url)
    await client.close()
    server.serve(cluster("a", connect_ms=2), *rest)
    async with server.client(mode) as back:
        await back.resume(CLUSTER_TYPE, client)
        await back.take(CLUSTER_TYPE)
        await back.resume(ENDPOINTS_TYPE, client)

        assert (await back.take(ENDPOINTS_TYPE)).names == (["a"] if mode.delta else ["a", "b"])
        await back.silent()


@in_every_mode
async def test_58_a_changed_listener_gets_its_unchanged_routes_and_secrets_when_it_asks(
    server: Server, client: Client
) -> None:
    server.serve(*world())
    await start(client)
    server.serve(*world(prefix="2"))
    await client.take(LISTENER_TYPE)
    await client.ask(ROUTES_TYPE, "r")
    await client.ask(SECRET_TYPE, "s")

    heard = {found.type_url: found.names for found in [await client.take(), await client.take()]}
    assert heard == {ROUTES_TYPE: ["r"], SECRET_TYPE: ["s"]}


@in_every_mode
async def test_59_no_route_comes_before_its_cluster(server: Server, client: Client) -> None:
    server.serve(*world())
    await start(client)
    server.serve(*world()[:4], cluster("new"), endpoints("new", 1), routes("r", a="new"))
    push = await client.next(CLUSTER_TYPE)
    await client.silent()
    await client.ask(ENDPOINTS_TYPE, "new")  # a cluster is ACKed when it is warm
    assert "new" in (await client.take(ENDPOINTS_TYPE)).names
    await client.silent()
    await client.ack(push)

    assert (await client.take(ROUTES_TYPE)).bodies == {"r": routes("r", a="new").body}


@in_every_mode
async def test_61_a_missing_name_does_not_silence_the_others(server: Server, client: Client) -> None:
    server.serve(*world())
    for type_url, name in ((SECRET_TYPE, "s"), (CLUSTER_TYPE, "a"), (ENDPOINTS_TYPE, "a"), (ROUTES_TYPE, "r")):
        await client.ask(type_url, "missing", name)
        assert name in (await client.take(type_url)).names

    server.serve(*world(port=81))
    assert (await client.take(ENDPOINTS_TYPE)).names == ["a"]


@in_every_mode
async def test_63_one_push_is_on_its_way_and_the_latest_state_wins(server: Server, client: Client) -> None:
    server.serve(endpoints("a", 1))
    await client.ask(ENDPOINTS_TYPE, "a")
    first = await client.next()
    for port in range(2, 10):
        server.serve(endpoints("a", port))
        await client.silent()
    await client.ack(first)

    assert (await client.take()).bodies == {"a": endpoints("a", 9).body}
    await client.silent()


@in_every_mode
async def test_64_a_slow_client_holds_up_nobody_and_keeps_nothing_waiting(
    server: Server, client: Client, mode: Mode
) -> None:
    server.serve(endpoints("a", 1))
    async with server.client(mode, node="slow") as slow:
        await slow.ask(ENDPOINTS_TYPE, "a")
        await slow.next()  # and never answers
        await client.ask(ENDPOINTS_TYPE, "a")
        await client.take()
        for port in range(2, 20):
            server.serve(endpoints("a", port))
            assert (await client.take()).bodies == {"a": endpoints("a", port).body}
        await slow.silent()

    assert server.figure("tollgate_xds_pushes_total", type="ClusterLoadAssignment") == 20


@in_every_mode
async def test_65_a_new_secret_touches_no_other_type(server: Server, client: Client) -> None:
    server.serve(*world())
    await start(client)
    server.serve(*world(text="another"), secret("of-another"))
    found = await client.take(SECRET_TYPE)
    assert found.bodies == {"s": secret("s", "another").body}
    await client.silent()
