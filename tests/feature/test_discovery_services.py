"""A stream for each type beside ADS: the type is the service's, and a node's streams keep one order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import grpc
import pytest

from control_plane.server.services import ADS, SERVICES
from control_plane.server.types import ENVOY_PUSH_ORDER, ENVOYS
from control_plane.snapshot import Resource, Snapshot, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE
from tests.support.eventually import eventually
from tests.support.fake_envoy import FakeEnvoy, fake_envoy
from tests.support.xds import ControlPlane, cluster, control_plane, endpoints, listener, routes, secret

BOTH = pytest.mark.parametrize("delta", [True, False], ids=["delta", "state-of-the-world"])
SINGLE = {service.type_url: service for service in SERVICES if service.type_url}
ASKED = {SECRET_TYPE: ("s",), CLUSTER_TYPE: (), ENDPOINTS_TYPE: ("a",), LISTENER_TYPE: (), ROUTES_TYPE: ("r",)}


def world(*, timeout: int = 1000, port: int = 80) -> Snapshot:
    """One resource of each type; those of clusters and routes tell the timeout."""
    return snapshot(
        [
            secret("s"),
            cluster("a", connect_ms=timeout),
            endpoints("a", port),
            listener("front", "r"),
            routes("r", **{f"r{timeout}": "a"}),
        ]
    )


@asynccontextmanager
async def streams(xds: ControlPlane, *, delta: bool, node: str = "fake") -> AsyncIterator[dict[str, FakeEnvoy]]:
    """A stream for each type, with everything of the snapshot taken."""
    async with AsyncExitStack() as stack:
        found = {}
        for type_url in ENVOY_PUSH_ORDER:
            envoy = fake_envoy(xds.endpoint, delta=delta, node=node, service=SINGLE[type_url])
            found[type_url] = await stack.enter_async_context(envoy)
            await found[type_url].subscribe(type_url, *ASKED[type_url])
            assert (await found[type_url].take()).type_url == type_url
        yield found


async def everything_was_sent(xds: ControlPlane) -> None:
    """Another node got all there is, so that whoever got nothing is being kept waiting."""
    async with streams(xds, delta=True, node="another"):
        pass


@pytest.mark.parametrize("service", SINGLE.values(), ids=lambda service: service.resources)
@BOTH
async def test_4_a_service_of_one_type_knows_its_type(service, delta: bool) -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, delta=delta, service=service) as envoy:
        xds.ads.set_snapshot(ENVOYS.cluster, world())
        await envoy.subscribe("", *ASKED[service.type_url])
        response = await envoy.next()

        assert response.type_url == service.type_url
        assert len(response.resources) == 1


@BOTH
async def test_4_another_type_is_refused_there(delta: bool) -> None:
    service = SINGLE[CLUSTER_TYPE]
    async with control_plane() as xds, fake_envoy(xds.endpoint, delta=delta, service=service) as envoy:
        await envoy.subscribe(LISTENER_TYPE)

        code, message = await envoy.status()
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "ClusterDiscoveryService" in message


@BOTH
async def test_54_59_the_streams_of_a_node_keep_the_order_of_types(delta: bool) -> None:
    async with control_plane() as xds:
        xds.ads.set_snapshot(ENVOYS.cluster, world())
        async with streams(xds, delta=delta) as envoy:
            xds.ads.set_snapshot(ENVOYS.cluster, world(timeout=5))
            clusters = await envoy[CLUSTER_TYPE].next()
            if delta:  # the endpoints that the changed cluster waits for [57]
                await envoy[ENDPOINTS_TYPE].take()
            waiting = asyncio.create_task(envoy[ROUTES_TYPE].take())
            await everything_was_sent(xds)
            assert not waiting.done()
            await envoy[CLUSTER_TYPE].ack(clusters)

            assert (await waiting).type_url == ROUTES_TYPE
            await eventually(lambda: xds.ads.converged(ENVOYS.cluster))


async def test_a_stream_that_goes_holds_up_no_other() -> None:
    async with control_plane() as xds:
        xds.ads.set_snapshot(ENVOYS.cluster, world())
        async with streams(xds, delta=False) as envoy:
            xds.ads.set_snapshot(ENVOYS.cluster, world(timeout=5))
            await envoy[CLUSTER_TYPE].next()
            await envoy[CLUSTER_TYPE].half_close()

            assert (await envoy[ROUTES_TYPE].next(within=1.5)).type_url == ROUTES_TYPE


async def test_17_the_streams_of_a_node_have_one_verdict() -> None:
    async with control_plane() as xds:
        xds.ads.set_snapshot(ENVOYS.cluster, world())
        async with streams(xds, delta=True) as envoy, streams(xds, delta=True, node="other"):
            xds.ads.set_snapshot(ENVOYS.cluster, world(port=81))
            await envoy[ENDPOINTS_TYPE].nack(await envoy[ENDPOINTS_TYPE].next(), "odd port")
            await eventually(lambda: any(verdict.refusals for verdict in xds.ads.verdicts(ENVOYS.cluster)))

            verdicts = {verdict.node: verdict for verdict in xds.ads.verdicts(ENVOYS.cluster)}
            assert verdicts.keys() == {"fake", "other"}
            assert verdicts["other"].refusals == ()
            (refusal,) = verdicts["fake"].refusals
            assert (refusal.type_url, refusal.names, refusal.message) == (ENDPOINTS_TYPE, ("a",), "odd port")


@pytest.mark.parametrize("service", [ADS, SINGLE[CLUSTER_TYPE]], ids=["ads", "separate"])
@BOTH
async def test_8_a_half_closed_stream_ends_and_leaves_nothing(service, delta: bool) -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, delta=delta, service=service) as envoy:
        xds.ads.set_snapshot(ENVOYS.cluster, world())
        await envoy.subscribe(CLUSTER_TYPE)
        await envoy.take()
        await envoy.half_close()

        assert (await envoy.status())[0] == grpc.StatusCode.OK
        await eventually(lambda: xds.ads.statuses() == ())
        assert xds.ads.verdicts(ENVOYS.cluster) == ()


@BOTH
async def test_11_a_fault_while_a_push_is_made_costs_its_stream_alone(delta: bool) -> None:
    async with (
        control_plane() as xds,
        fake_envoy(xds.endpoint, delta=delta) as hit,
        fake_envoy(xds.endpoint, delta=delta) as other,
    ):
        broken = replace(cluster("a"), body="no bytes", version="broken")
        xds.ads.set_snapshot(ENVOYS.cluster, snapshot([broken, endpoints("a", 80)]))
        await other.subscribe(ENDPOINTS_TYPE, "a")
        await other.take()
        await hit.subscribe(CLUSTER_TYPE)

        assert (await hit.status())[0] == grpc.StatusCode.INTERNAL
        assert xds.registry.get_sample_value("tollgate_xds_stream_faults_total") == 1
        xds.ads.set_snapshot(ENVOYS.cluster, snapshot([cluster("a"), endpoints("a", 81)]))
        assert (await other.take()).type_url == ENDPOINTS_TYPE
        async with fake_envoy(xds.endpoint, delta=delta) as again:
            await again.subscribe(CLUSTER_TYPE)
            assert len((await again.take()).resources) == 1


def of_group(item: Resource, *groups: str) -> Resource:
    return replace(item, groups=frozenset(groups))


@pytest.mark.parametrize(
    ("group", "expected"), [("edge", ["edge", "shared"]), ("inside", ["inside", "shared"]), ("", ["shared"])]
)
async def test_a_node_is_sent_what_its_group_may_see(group: str, expected: list[str]) -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, group=group) as envoy:
        kept = (of_group(cluster("edge"), "edge"), of_group(cluster("inside"), "inside", "x"), cluster("shared"))
        xds.ads.set_snapshot(ENVOYS.cluster, snapshot(kept))
        await envoy.subscribe(CLUSTER_TYPE)

        assert sorted(item.name for item in (await envoy.take()).resources) == expected
        await eventually(lambda: xds.ads.converged(ENVOYS.cluster))
        assert [verdict.group for verdict in xds.ads.verdicts(ENVOYS.cluster)] == [group]
