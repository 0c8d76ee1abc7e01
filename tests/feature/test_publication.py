"""The order of publication: a policy before the route that needs it, a cluster after the route that left it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from control_plane.publication.outcome import Outcome
from control_plane.publication.publisher import Publisher
from control_plane.server.types import ENVOYS, SERVICES
from control_plane.snapshot import EMPTY, Release, Snapshot, resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ROUTES_TYPE
from service_kit.contract import LIMIT_SET_TYPE
from tests.support.eventually import eventually
from tests.support.fake_envoy import FakeEnvoy, fake_envoy, names
from tests.support.xds import cluster, control_plane, publisher, routes


def policies(*limit_sets: str) -> Snapshot:
    return snapshot([resource(LIMIT_SET_TYPE, name, name.encode()) for name in limit_sets])


def gateway(**route_to: str) -> Snapshot:
    """Routes and the clusters they name."""
    return snapshot([*(cluster(name) for name in sorted(set(route_to.values()))), routes("r", **route_to)])


@asynccontextmanager
async def line(
    envoy_sees: Snapshot,
    services_see: Snapshot,
    *,
    linger: float = 0.0,
    judged: Callable[[Outcome], None] = lambda _: None,
) -> AsyncIterator[tuple[Publisher, FakeEnvoy, FakeEnvoy]]:
    """A publisher with a first release out, and an Envoy and a service that took it."""
    async with (
        control_plane() as xds,
        publisher(xds.ads, linger=linger, judged=judged) as releases,
        fake_envoy(xds.endpoint) as envoy,
        fake_envoy(xds.endpoint, cluster=SERVICES.cluster) as service,
    ):
        releases.publish(Release(envoy_sees, services_see))
        await releases.published()
        await envoy.subscribe(CLUSTER_TYPE)
        await envoy.take()
        await envoy.subscribe(ROUTES_TYPE, "r")
        await envoy.take()
        await service.subscribe(LIMIT_SET_TYPE, "*")
        await service.take()
        await eventually(lambda: all(xds.ads.converged(status.cluster) for status in xds.ads.statuses()))
        yield releases, envoy, service


async def test_the_first_release_waits_for_nobody() -> None:
    async with control_plane() as xds, publisher(xds.ads) as releases:
        releases.publish(Release(gateway(a="a"), policies("route/a")))

        await asyncio.wait_for(releases.published(), 0.5)


async def test_the_first_release_waits_for_services_that_start_with_envoy() -> None:
    async with (
        control_plane() as xds,
        publisher(xds.ads, start=20.0) as releases,
        fake_envoy(xds.endpoint) as envoy,
        fake_envoy(xds.endpoint, cluster=SERVICES.cluster) as service,
    ):
        releases.publish(Release(gateway(a="a"), policies("route/a")))
        await envoy.subscribe(CLUSTER_TYPE)
        await eventually(xds.ads.statuses)
        await service.subscribe(LIMIT_SET_TYPE, "*")
        push = await service.next()
        seen = [status.types[CLUSTER_TYPE].sent for status in xds.ads.statuses() if status.cluster == ENVOYS.cluster]
        assert seen == [""]

        await service.ack(push)
        assert names(await envoy.take()) == ["a"]


async def test_services_that_do_not_come_hold_up_the_first_release_for_a_while() -> None:
    async with control_plane() as xds, publisher(xds.ads, start=0.2) as releases, fake_envoy(xds.endpoint) as envoy:
        releases.publish(Release(gateway(a="a"), policies("route/a")))
        await envoy.subscribe(CLUSTER_TYPE)

        assert names(await envoy.take()) == ["a"]


async def test_a_policy_is_live_before_the_route_that_needs_it() -> None:
    async with line(gateway(a="a"), policies("route/a")) as (releases, envoy, service):
        releases.publish(Release(gateway(a="a", b="b"), policies("route/a", "route/b")))
        push = await service.next()
        assert names(push) == ["route/b"]
        await envoy.quiet()

        await service.ack(push)
        assert names(await envoy.take()) == ["b"]
        assert names(await envoy.take()) == ["r"]


async def test_a_policy_and_a_cluster_leave_after_the_route_that_needed_them() -> None:
    async with line(gateway(a="a", b="b"), policies("route/a", "route/b")) as (releases, envoy, service):
        releases.publish(Release(gateway(a="a"), policies("route/a")))
        push = await envoy.next()
        assert (push.type_url, names(push)) == (ROUTES_TYPE, ["r"])
        await service.quiet()

        await envoy.ack(push)
        assert names(await envoy.take()) == ["-b"]
        assert names(await service.take()) == ["-route/b"]


async def test_what_leaves_lingers_for_the_requests_that_are_on_their_way() -> None:
    async with line(gateway(a="a", b="b"), policies("route/a", "route/b"), linger=0.3) as (releases, envoy, service):
        releases.publish(Release(gateway(a="a"), policies("route/a")))
        assert names(await envoy.take()) == ["r"]
        await releases.published()
        await envoy.quiet()
        await service.quiet()

        assert names(await envoy.take()) == ["-b"]
        assert names(await service.take()) == ["-route/b"]


async def test_what_is_wanted_again_while_it_lingers_never_leaves() -> None:
    async with line(gateway(a="a", b="b"), policies("route/a", "route/b"), linger=0.3) as (releases, envoy, service):
        releases.publish(Release(gateway(a="a"), policies("route/a")))
        assert names(await envoy.take()) == ["r"]
        releases.publish(Release(gateway(a="a", b="b"), policies("route/a", "route/b")))
        assert names(await envoy.take()) == ["r"]
        await releases.published()
        await asyncio.sleep(0.4)

        await envoy.quiet()
        await service.quiet()


async def test_what_all_refuse_is_taken_back_and_what_last_good_needs_has_never_left() -> None:
    async with line(gateway(a="a"), policies("route/a")) as (releases, envoy, service):
        releases.publish(Release(gateway(b="b"), policies("route/b")))
        assert names(await service.take()) == ["route/b"]
        assert names(await envoy.take()) == ["b"]
        await envoy.nack(await envoy.next(), "bad route")

        good = await envoy.take()
        assert (names(good), b"/a" in good.resources[0].resource.value) == (["r"], True)
        await releases.published()
        assert names(await envoy.take()) == ["-b"]
        assert names(await service.take()) == ["-route/b"]
        await envoy.quiet()

        releases.publish(Release(gateway(c="c"), policies("route/c")))
        assert names(await service.take()) == ["route/c"]
        assert names(await envoy.take()) == ["c"]
        assert names(await envoy.take()) == ["r"]
        assert names(await envoy.take()) == ["-a"]
        assert names(await service.take()) == ["-route/a"]


async def test_routes_stay_as_they_were_while_a_service_refuses_the_new_policies() -> None:
    outcomes: list[Outcome] = []
    async with line(gateway(a="a"), policies("route/a"), judged=outcomes.append) as (releases, envoy, service):
        releases.publish(Release(gateway(b="b"), policies("route/b")))
        await service.nack(await service.next(), "a key is too short")
        await releases.published()

        await envoy.quiet()
        assert [str(item).partition(": ")[2] for item in outcomes[-1].refused] == ["a key is too short"]
        # The services are offered the last good policies again; the refused one is not among them.
        assert names(await service.take()) == ["-route/b"]

        releases.publish(Release(gateway(c="c"), policies("route/a", "route/c")))
        assert names(await service.take()) == ["route/c"]
        assert names(await envoy.take()) == ["c"]
        await envoy.take()
        await releases.published()
        assert outcomes[-1].refused == ()


async def test_a_service_that_never_answers_delays_a_release_for_a_bounded_time() -> None:
    async with line(gateway(a="a"), policies("route/a")) as (releases, envoy, service):
        releases.publish(Release(gateway(a="a", b="b"), policies("route/a", "route/b")))
        await service.next()

        assert names(await envoy.take()) == ["b"]


async def test_the_latest_release_wins() -> None:
    async with line(gateway(a="a"), policies("route/a")) as (releases, envoy, service):
        releases.publish(Release(gateway(a="a", b="b"), policies("route/a", "route/b")))
        await service.next()
        releases.publish(Release(gateway(a="a", c="c"), policies("route/a")))

        assert names(await envoy.take()) == ["c"]
        routes_push = await envoy.take()
        assert b"/c" in routes_push.resources[0].resource.value
        await releases.published()
        await envoy.quiet()


async def test_a_release_of_nothing_removes_everything() -> None:
    async with line(gateway(a="a"), policies("route/a")) as (releases, envoy, service):
        releases.publish(Release(EMPTY, EMPTY))
        assert names(await envoy.take()) == ["-r"]
        assert names(await envoy.take()) == ["-a"]
        assert names(await service.take()) == ["-route/a"]
