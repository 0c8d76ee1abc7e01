"""The real Envoy in a fleet: over mutual TLS, while certificates, connections and control planes come and go."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from control_plane.server.types import ENVOYS
from control_plane.snapshot import Resource, Snapshot, snapshot
from tests.support.certificates import Authority
from tests.support.eventually import eventually
from tests.support.fleet import Fleet, fleet_envoy, replica
from tests.support.live_envoy import Envoy, backend, is_saying, traffic
from tests.support.xds import ControlPlane, cluster, endpoints, listener, pair, routes

BOTH = pytest.mark.parametrize("api_type", ["DELTA_GRPC", "GRPC"], ids=["delta", "sotw"])
SOON = 15.0
# What Envoy runs, and how often it had to change it. Warming happens again where a cluster or listener is sent again.
STATE = (
    "cluster_manager.cds.version",
    "listener_manager.lds.version",
    "cluster_manager.cluster_added",
    "cluster_manager.cluster_modified",
    "cluster_manager.cluster_removed",
    "cluster_manager.cluster_updated",
    "listener_manager.listener_added",
    "listener_manager.listener_modified",
    "listener_manager.listener_removed",
    "listener_manager.lds.config_reload",
    "cluster_manager.cds.config_reload",
    "http.test.rds.r.config_reload",
    "http.test.rds.r.version",
)
CONNECTIONS = "cluster.tollgate_control-plane.upstream_cx_total"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path, Authority())


def a_gateway(port: int) -> Snapshot:
    """A listener whose `/a` goes to the backend on this port."""
    return snapshot((listener("front", "r"), *behind(port)))


def behind(port: int) -> tuple[Resource, ...]:
    return cluster("a"), endpoints("a", port), routes("r", a="a")


def is_settled(xds: ControlPlane) -> Callable[[], bool]:
    return lambda: len(xds.ads.statuses()) == 1 and xds.ads.converged(ENVOYS.cluster)


def counted(envoy: Envoy, name: str, least: int) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return (await envoy.stats(name))[0] >= least

    return probe


async def state(envoy: Envoy) -> tuple[int, ...]:
    return await envoy.stats(*STATE)


def pushes(xds: ControlPlane) -> float:
    """Responses that the control plane has sent, of every type."""
    metrics = (metric for metric in xds.registry.collect() if metric.name == "tollgate_xds_pushes")
    return sum(sample.value for metric in metrics for sample in metric.samples if sample.name.endswith("_total"))


def opened(envoy: Envoy, expected: set[str]) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        try:
            return set(await envoy.ports()) == expected
        except httpx.TransportError:  # it is being started
            return False

    return probe


@asynccontextmanager
async def stopped_later(fleet: Fleet) -> AsyncIterator[tuple[ControlPlane, int, Callable[[], Awaitable[None]]]]:
    """A control plane, its port, and what stops it."""
    async with AsyncExitStack() as stack:
        xds, port = await stack.enter_async_context(replica(fleet))
        yield xds, port, stack.aclose


@BOTH
async def test_certificates_and_their_authority_are_replaced_while_everybody_runs(fleet: Fleet, api_type: str) -> None:
    files = fleet.of("envoy", process="envoy")
    async with backend("one") as one, backend("two") as two, replica(fleet, age=1) as (xds, port):
        xds.ads.set_snapshot(ENVOYS.cluster, a_gateway(one))
        async with fleet_envoy(files, port, api_type=api_type) as envoy:
            await eventually(is_saying(envoy, "/a", "one"), within=SOON)

            async with traffic(envoy, "/a") as answers:
                renewed = fleet.of_another_authority()
                renewed.of("control-plane", process="control-plane")
                renewed.of("envoy", process="envoy")
                xds.ads.set_snapshot(ENVOYS.cluster, a_gateway(two))
                await eventually(is_saying(envoy, "/a", "two"), within=SOON)

            before = (await envoy.stats(CONNECTIONS))[0]
            await eventually(counted(envoy, CONNECTIONS, before + 1), within=SOON)
            await eventually(is_settled(xds), within=SOON)
            assert answers["/a"] <= {"one", "two"}


@BOTH
async def test_70_a_connection_that_ends_for_its_age_loses_no_state(fleet: Fleet, api_type: str) -> None:
    async with backend("one") as one, backend("two") as two, replica(fleet, age=1) as (xds, port):
        xds.ads.set_snapshot(ENVOYS.cluster, a_gateway(one))
        async with fleet_envoy(fleet.of("envoy"), port, api_type=api_type) as envoy:
            await eventually(is_saying(envoy, "/a", "one"), within=SOON)
            before, pushed = await state(envoy), pushes(xds)

            async with traffic(envoy, "/a") as answers:
                connections = (await envoy.stats(CONNECTIONS))[0]
                await eventually(counted(envoy, CONNECTIONS, connections + 2), within=30)
                await eventually(is_settled(xds), within=SOON)
                assert await state(envoy) == before
                if api_type == "DELTA_GRPC":
                    assert pushes(xds) == pushed  # it has said what it has, and that is still so

                xds.ads.set_snapshot(ENVOYS.cluster, a_gateway(two))
                await eventually(is_saying(envoy, "/a", "two"), within=SOON)
            assert answers["/a"] == {"one", "two"}


@BOTH
async def test_an_envoy_that_moves_to_another_replica_sees_no_change(fleet: Fleet, api_type: str) -> None:
    """Two that read the same files serve the same versions, though they never met."""
    async with backend("one") as one, backend("two") as two, AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(stopped_later(fleet)) for _ in range(2)]
        for xds, _port, _stop in replicas:
            xds.ads.set_snapshot(ENVOYS.cluster, a_gateway(one))
        ports = [port for _xds, port, _stop in replicas]
        async with fleet_envoy(fleet.of("envoy"), *ports, api_type=api_type) as envoy:
            await eventually(is_saying(envoy, "/a", "one"), within=SOON)
            await eventually(lambda: any(is_settled(xds)() for xds, _port, _stop in replicas), within=SOON)
            (first, _, stop), (second, _, _) = sorted(replicas, key=lambda found: not found[0].ads.statuses())
            before = await state(envoy)

            async with traffic(envoy, "/a") as answers:
                await stop()
                await eventually(is_settled(second), within=30)
                assert await state(envoy) == before
                if api_type == "DELTA_GRPC":
                    assert pushes(second) == 0

                second.ads.set_snapshot(ENVOYS.cluster, a_gateway(two))
                await eventually(is_saying(envoy, "/a", "two"), within=SOON)
            assert answers["/a"] == {"one", "two"}
            assert first.ads.statuses() == ()


@BOTH
async def test_an_envoy_gets_the_listeners_and_the_secrets_of_its_group(fleet: Fleet, api_type: str) -> None:
    certificate, key = fleet.authority.issue("localhost")
    edge, inside = frozenset({"edge"}), frozenset({"inside"})
    resources = (
        replace(listener("edge", "r", certificate="of-edge"), groups=edge),
        replace(listener("inside", "r", certificate="of-inside"), groups=inside),
        listener("everywhere", "r"),
        replace(pair("of-edge", certificate, key), groups=edge),
        replace(pair("of-inside", certificate, key), groups=inside),
    )
    async with backend("one") as one, replica(fleet) as (xds, port):
        xds.ads.set_snapshot(ENVOYS.cluster, snapshot((*resources, *behind(one))))
        groups = {"edge": {"edge", "everywhere"}, "": {"everywhere"}, "unknown": {"everywhere"}}
        for group, expected in groups.items():
            files = fleet.of(f"envoy/{group}" if group else "envoy")
            async with fleet_envoy(files, port, group=group, api_type=api_type) as envoy:
                await eventually(opened(envoy, expected), within=SOON)
                assert "of-inside" not in str(await envoy.dump())
                assert ("of-edge" in str(await envoy.dump())) == (group == "edge")
