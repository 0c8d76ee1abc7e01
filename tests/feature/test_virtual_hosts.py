"""Who is given the route table by its virtual hosts, and when they come: to a client that does what it is told."""

import pytest

from control_plane.server.services import DiscoveryService
from control_plane.server.types import ENVOYS
from control_plane.snapshot import Resource, snapshot
from control_plane.virtual_hosts import with_virtual_hosts
from control_plane.xds.names import CLUSTER_TYPE, ROUTES, ROUTES_TYPE, VIRTUAL_HOST_TYPE
from tests.support.compiled import config, route, snapshots
from tests.support.eventually import eventually
from tests.support.fake_envoy import FakeEnvoy, fake_envoy, names
from tests.support.xds import ControlPlane, cluster, control_plane

HOSTS = {f"{ROUTES}/*", f"{ROUTES}/a.example.com", f"{ROUTES}/b.example.com"}
RDS = DiscoveryService("envoy.service.route.v3.RouteDiscoveryService", "Routes", ROUTES_TYPE)


def table(timeout: str = "5s") -> Resource:
    written = [route("a", hosts=["a.example.com"]), route("b", hosts=["b.example.com"], timeout=timeout)]
    return snapshots(config(routes=written))[0].of(ROUTES_TYPE)[ROUTES]


WHOLE = table()
APART = with_virtual_hosts(snapshot([WHOLE])).of(ROUTES_TYPE)[ROUTES]


def serve(xds: ControlPlane, *resources: Resource) -> None:
    xds.ads.set_snapshot(ENVOYS.cluster, snapshot(resources))


async def taken_apart(envoy: FakeEnvoy) -> None:
    await envoy.subscribe(ROUTES_TYPE, ROUTES)
    assert (await envoy.take()).resources[0].resource.value == APART.body
    await envoy.subscribe(VIRTUAL_HOST_TYPE)
    assert set(names(await envoy.take())) == HOSTS


async def test_an_edit_pushes_its_virtual_hosts_and_nothing_else() -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, hosts=True) as envoy:
        serve(xds, WHOLE)
        await taken_apart(envoy)

        serve(xds, table("9s"))

        response = await envoy.take()
        assert (response.type_url, names(response)) == (VIRTUAL_HOST_TYPE, [f"{ROUTES}/b.example.com"])
        await envoy.quiet()
        await eventually(lambda: xds.ads.converged(ENVOYS.cluster))


async def test_54_virtual_hosts_wait_for_the_verdict_on_clusters() -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, hosts=True) as envoy:
        serve(xds, WHOLE, cluster("a"))
        await envoy.subscribe(CLUSTER_TYPE)
        await envoy.take()
        await taken_apart(envoy)

        serve(xds, table("9s"), cluster("a"), cluster("b"))

        response = await envoy.next()
        assert response.type_url == CLUSTER_TYPE
        await envoy.quiet()
        await envoy.ack(response)
        assert (await envoy.take()).type_url == VIRTUAL_HOST_TYPE


async def test_a_table_that_is_asked_for_again_brings_its_virtual_hosts() -> None:
    """Envoy does not ask for them: it has forgotten the table, and what it was sent of them meanwhile."""
    async with control_plane() as xds, fake_envoy(xds.endpoint, hosts=True) as envoy:
        serve(xds, WHOLE)
        await taken_apart(envoy)
        serve(xds, table("9s"))
        unread = await envoy.next()

        await envoy.subscribe(ROUTES_TYPE, ROUTES)
        assert (await envoy.take()).type_url == ROUTES_TYPE
        await envoy.ack(unread)

        assert set(names(await envoy.take())) == HOSTS
        await envoy.quiet()


@pytest.mark.parametrize(
    ("asked", "body"),
    [
        pytest.param({"hosts": True}, APART.body, id="says that it takes them"),
        pytest.param({}, WHOLE.body, id="does not say so"),
        pytest.param({"hosts": True, "service": RDS}, WHOLE.body, id="on a stream for routes alone"),
    ],
)
async def test_who_takes_virtual_hosts_one_by_one(asked: dict[str, object], body: bytes) -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, **asked) as envoy:
        serve(xds, WHOLE)
        await envoy.subscribe(ROUTES_TYPE, ROUTES)
        assert (await envoy.take()).resources[0].resource.value == body


async def test_in_state_of_the_world_the_table_is_whole() -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, hosts=True, delta=False) as envoy:
        serve(xds, WHOLE)
        await envoy.subscribe(ROUTES_TYPE, ROUTES)
        assert (await envoy.take()).resources[0].value == WHOLE.body


@pytest.mark.parametrize(
    ("held", "change"),
    [
        pytest.param(WHOLE, ROUTES_TYPE, id="the whole table"),
        pytest.param(APART, VIRTUAL_HOST_TYPE, id="its virtual hosts"),
    ],
)
async def test_whoever_comes_back_goes_on_with_what_it_runs(held: Resource, change: str) -> None:
    hosts = {name: item.version for name, item in with_virtual_hosts(snapshot([WHOLE])).of(VIRTUAL_HOST_TYPE).items()}
    async with control_plane() as xds, fake_envoy(xds.endpoint, hosts=True) as envoy:
        serve(xds, WHOLE)
        await envoy.subscribe(ROUTES_TYPE, ROUTES, initial={ROUTES: held.version})
        if held is APART:
            await envoy.subscribe(VIRTUAL_HOST_TYPE, initial=hosts)
        await envoy.quiet()

        serve(xds, table("9s"))

        response = await envoy.take()
        assert (response.type_url, len(response.resources)) == (change, 1)


@pytest.mark.parametrize("first", [ROUTES_TYPE, VIRTUAL_HOST_TYPE])
async def test_whoever_comes_back_without_the_table_gets_its_virtual_hosts_though_it_says_to_have_them(
    first: str,
) -> None:
    """Envoy has them from a table that it has forgotten since; of those that are gone it is told so."""
    hosts = {name: item.version for name, item in with_virtual_hosts(snapshot([WHOLE])).of(VIRTUAL_HOST_TYPE).items()}
    claims = {**hosts, f"{ROUTES}/gone.example.com": "1"}
    async with control_plane() as xds, fake_envoy(xds.endpoint, hosts=True) as envoy:
        serve(xds, WHOLE)
        if first == ROUTES_TYPE:
            await envoy.subscribe(ROUTES_TYPE, ROUTES)
            assert (await envoy.take()).type_url == ROUTES_TYPE
            await envoy.subscribe(VIRTUAL_HOST_TYPE, initial=claims)
            found = names(await envoy.take())
            assert set(found) == {*HOSTS, f"-{ROUTES}/gone.example.com"}
        else:
            await envoy.subscribe(VIRTUAL_HOST_TYPE, initial=hosts)
            await envoy.subscribe(ROUTES_TYPE, ROUTES)
            assert (await envoy.take()).type_url == ROUTES_TYPE
            assert set(names(await envoy.take())) == HOSTS
        await envoy.quiet()


async def test_16_17_a_refused_virtual_host_is_shown_and_not_sent_again() -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, hosts=True) as envoy:
        serve(xds, WHOLE)
        await taken_apart(envoy)
        serve(xds, table("9s"))
        await envoy.nack(await envoy.next(), "too long")
        await eventually(lambda: any(verdict.refusals for verdict in xds.ads.verdicts(ENVOYS.cluster)))

        await envoy.quiet()

        (verdict,) = xds.ads.verdicts(ENVOYS.cluster)
        (refusal,) = verdict.refusals
        assert (refusal.type_url, refusal.names) == (VIRTUAL_HOST_TYPE, (f"{ROUTES}/b.example.com",))
        serve(xds, WHOLE)
        assert names(await envoy.take()) == [f"{ROUTES}/b.example.com"]
        await eventually(lambda: xds.ads.converged(ENVOYS.cluster))
