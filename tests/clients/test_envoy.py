"""The real Envoy follows the control plane in its four ways: either protocol, on one stream or on one a type."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from control_plane.publication.publisher import LINGER_SECONDS
from control_plane.server.types import ENVOYS
from control_plane.snapshot import Resource, Snapshot, snapshot
from control_plane.xds.names import CLUSTER_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE
from tests.support.certificates import Authority
from tests.support.config_dump import read_config_dump
from tests.support.eventually import eventually
from tests.support.live_envoy import SOON, STARTED, Line, backend, is_saying, line, traffic
from tests.support.modes import MODES, Mode
from tests.support.xds import cluster, endpoints, listener, pair, routes

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=MODES, ids=lambda mode: mode.name)
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    """One Envoy a mode for all tests; each publishes what it needs, so that they also follow one another."""
    async with line(request.param) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def one() -> AsyncIterator[int]:
    async with backend("one") as port:
        yield port


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def two() -> AsyncIterator[int]:
    async with backend("two") as port:
        yield port


def front(line: Line, prefix: str = "test") -> Resource:
    return listener("front", "r", prefix=prefix, source=line.mode.source)


def target(line: Line, name: str, *, connect_ms: int = 1000) -> Resource:
    return cluster(name, connect_ms=connect_ms, source=line.mode.source)


async def converged(line: Line) -> None:
    """Envoy has ACKed all it was sent, and nothing in it waits for more."""

    async def still() -> bool:
        return line.ads.converged(ENVOYS.cluster) and not await line.envoy.warming()

    await eventually(still, within=SOON)


async def serving(line: Line, *ports: int) -> tuple[Resource, ...]:
    """A gateway that answers on /a, published and followed."""
    resources = (front(line), target(line, "a"), endpoints("a", *ports), routes("r", a="a"))
    await line.publish(*resources)
    await eventually(is_saying(line.envoy, "/a", "one"), within=STARTED)
    await converged(line)
    return resources


async def test_59_74_every_change_is_followed_without_a_failed_request(shared: Line, one: int, two: int) -> None:
    await serving(shared, one)
    async with traffic(shared.envoy, "/a", "/b") as answers:
        await shared.publish(front(shared), target(shared, "a"), endpoints("a", two), routes("r", a="a"))
        await eventually(is_saying(shared.envoy, "/a", "two"), within=SOON)

        clusters = (target(shared, "a"), target(shared, "b"), endpoints("a", two), endpoints("b", one))
        await shared.publish(front(shared), *clusters, routes("r", a="a", b="b"))
        await eventually(is_saying(shared.envoy, "/b", "one"), within=SOON)

        await shared.publish(front(shared), target(shared, "a"), endpoints("a", two), routes("r", a="a"))
        await eventually(is_saying(shared.envoy, "/b", "404"), within=SOON)
        await converged(shared)

    assert answers["/a"] <= {"one", "two"}
    assert answers["/b"] <= {"404", "one"}
    assert await has_no(shared, "b")


async def test_74_a_deleted_listener_is_gone_and_comes_back(shared: Line, one: int) -> None:
    resources = await serving(shared, one)

    async def closed() -> bool:
        return not await shared.envoy.port()

    await shared.publish()
    await eventually(closed, within=SOON)
    await converged(shared)
    assert await has_no(shared, "a")

    await shared.publish(*resources)
    await eventually(is_saying(shared.envoy, "/a", "one"), within=SOON)


async def test_74_traffic_goes_on_while_the_control_plane_is_away_and_when_it_is_back_unchanged(
    shared: Line, one: int
) -> None:
    resources = await serving(shared, one)
    changes = (
        "cluster_manager.cluster_added", "cluster_manager.cluster_modified", "cluster_manager.cluster_removed",
        "listener_manager.listener_added", "listener_manager.listener_modified", "listener_manager.listener_removed",
    )  # fmt: skip
    before = await shared.envoy.stats(*changes)
    async with traffic(shared.envoy, "/a") as answers:
        await shared.stop_control_plane()
        await shared.start_control_plane()
        await shared.publish(*resources)
        await eventually(lambda: knows(shared, CLUSTER_TYPE, LISTENER_TYPE), within=STARTED)
        await converged(shared)

    assert answers["/a"] == {"one"}
    assert await shared.envoy.stats(*changes) == before


async def test_74_what_came_while_the_control_plane_was_away_arrives_with_it(shared: Line, one: int, two: int) -> None:
    await serving(shared, one)
    async with traffic(shared.envoy, "/a", "/b") as answers:
        await shared.stop_control_plane()
        await shared.start_control_plane()
        clusters = (target(shared, "a"), target(shared, "b"), endpoints("a", two), endpoints("b", one))
        await shared.publish(front(shared), *clusters, routes("r", a="a", b="b"))
        await eventually(is_saying(shared.envoy, "/b", "one"), within=STARTED)
        await eventually(is_saying(shared.envoy, "/a", "two"), within=SOON)
        await converged(shared)

    assert answers["/a"] <= {"one", "two"}
    assert answers["/b"] <= {"404", "one"}


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
async def test_55_74_a_control_plane_that_begins_with_what_it_served_last_breaks_no_route_to_what_left_meanwhile(
    mode: Mode, one: int, two: int
) -> None:
    """The state of the world that a client comes back with says nothing of what it has: only the server can know.

    Separate streams come back one by one, that of the new cluster's endpoints last: routes wait for it.
    """
    async with line(mode, linger=LINGER_SECONDS) as own:
        before = await serving(own, one)
        async with traffic(own.envoy, "/a") as answers:
            await own.stop_control_plane()
            await own.start_control_plane()
            await own.publish(*before)
            await own.publish(front(own), target(own, "n"), endpoints("n", two), routes("r", a="n"))
            await eventually(is_saying(own.envoy, "/a", "two"), within=STARTED)
            await eventually(lambda: has_no(own, "a"), within=SOON)
            await converged(own)

    assert answers["/a"] <= {"one", "two"}


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
async def test_57_58_74_what_changed_while_the_control_plane_was_away_does_not_stay_in_warming(
    mode: Mode, one: int
) -> None:
    """Its endpoints, routes and secrets did not, and Envoy says that it has them."""
    certificate = pair("s", *Authority().issue("localhost"))

    def world(number: int) -> tuple[Resource, ...]:
        secure = listener("secure", "r", prefix=f"secure-{number}", certificate="s", source=mode.source)
        cluster_a = cluster("a", connect_ms=700 + number, source=mode.source)
        return (secure, cluster_a, endpoints("a", one), routes("r", a="a"), certificate)

    async with line(mode) as own:
        await own.publish(*world(0))
        await eventually(lambda: runs(own, snapshot(world(0))), within=STARTED)
        await converged(own)
        for number in (1, 2):
            await own.stop_control_plane()
            await own.start_control_plane()
            await own.publish(*world(number))
            await eventually(lambda ms=700 + number: runs_connect_timeout(own, ms), within=STARTED)
            await converged(own)


async def test_74_an_envoy_that_starts_anew_is_given_everything(shared: Line, one: int) -> None:
    await serving(shared, one)
    await shared.stop_envoy()
    await shared.start_envoy()

    await eventually(is_saying(shared.envoy, "/a", "one"), within=STARTED)
    await converged(shared)


async def test_57_a_changed_cluster_does_not_stay_in_warming_though_its_endpoints_did_not_change(
    shared: Line, one: int
) -> None:
    await serving(shared, one)
    rest = (front(shared), endpoints("a", one), routes("r", a="a"))
    async with traffic(shared.envoy, "/a") as answers:
        for milliseconds in (700, 800):
            await shared.publish(*rest, target(shared, "a", connect_ms=milliseconds))
            await eventually(lambda ms=milliseconds: runs_connect_timeout(shared, ms), within=SOON)
            await converged(shared)
    assert answers["/a"] == {"one"}


async def test_57_a_changed_cluster_does_not_stay_in_warming_though_endpoints_of_another_came_with_it(
    shared: Line, one: int, two: int
) -> None:
    """Envoy asks for the changed cluster's endpoints with a nonce that the other's have made stale."""
    await serving(shared, one)
    rest = (front(shared), target(shared, "b"), endpoints("a", one), routes("r", a="a", b="b"))
    await shared.publish(*rest, target(shared, "a"), endpoints("b", one))
    await eventually(is_saying(shared.envoy, "/b", "one"), within=SOON)

    for milliseconds, answer, port in ((700, "two", two), (800, "one", one), (900, "two", two)):
        await shared.publish(*rest, target(shared, "a", connect_ms=milliseconds), endpoints("b", port))
        await eventually(is_saying(shared.envoy, "/b", answer), within=SOON)
        await converged(shared)


async def test_58_a_changed_listener_does_not_stay_in_warming_though_its_routes_did_not_change(
    shared: Line, one: int
) -> None:
    await serving(shared, one)
    rest = (target(shared, "a"), endpoints("a", one), routes("r", a="a"))
    (before,) = await shared.envoy.stats("listener_manager.listener_modified")
    async with traffic(shared.envoy, "/a") as answers:
        for number in (1, 2):
            await shared.publish(front(shared, f"changed-{number}"), *rest)

            async def modified(expected: int = before + number) -> bool:
                return await shared.envoy.stats("listener_manager.listener_modified") == (expected,)

            await eventually(modified, within=SOON)
            await converged(shared)
    assert answers["/a"] == {"one"}


async def test_61_a_missing_resource_does_not_mute_the_others(shared: Line, one: int, two: int) -> None:
    await serving(shared, one)
    rest = (front(shared), target(shared, "a"), target(shared, "ghost"))
    with_ghost = routes("r", a="a", g="ghost")
    await shared.publish(*rest, endpoints("a", one), with_ghost)
    await shared.publish(*rest, endpoints("a", two), with_ghost)
    await eventually(is_saying(shared.envoy, "/a", "two"), within=SOON)

    await shared.publish(*rest, endpoints("a", two), endpoints("ghost", one), with_ghost)
    await eventually(is_saying(shared.envoy, "/g", "one"), within=SOON)
    await converged(shared)


async def test_75_what_envoy_says_it_runs_is_what_the_server_says_was_acked(shared: Line, one: int, two: int) -> None:
    authority = Authority()
    secure = listener("secure", "r2", certificate="s", source=shared.mode.source)
    clusters = (target(shared, "a"), target(shared, "b"), endpoints("a", one), endpoints("b", one, two))
    for certificate in (authority.issue("localhost"), authority.issue("localhost")):
        rest = (front(shared), secure, pair("s", *certificate), routes("r", a="a"), routes("r2", b="b"))
        await shared.publish(*rest, *clusters)
        published = snapshot((*rest, *clusters))
        await eventually(lambda published=published: runs(shared, published), within=STARTED)
        await converged(shared)
        found = read_config_dump(await shared.envoy.dump())

        assert found.versions == {type_url: acked(shared, type_url) for type_url in found.versions}
        expected = published.of(SECRET_TYPE)["s"].version if shared.mode.delta else acked(shared, SECRET_TYPE)
        assert found.resources[SECRET_TYPE]["s"].version == expected
        for type_url in (CLUSTER_TYPE, LISTENER_TYPE, ROUTES_TYPE):  # Envoy completes endpoints, and redacts secrets
            for name, item in published.of(type_url).items():
                held = found.resources[type_url][name]
                assert held.message.value == item.body
                assert not shared.mode.delta or held.version == item.version


async def has_no(line: Line, cluster_name: str) -> bool:
    return f"{cluster_name}::" not in await line.envoy.clusters()


def names(resources: Mapping[str, Mapping[str, object]]) -> dict[str, set[str]]:
    return {type_url: set(named) for type_url, named in resources.items()}


async def runs(line: Line, published: Snapshot) -> bool:
    return names(read_config_dump(await line.envoy.dump()).resources) == names(published.resources)


def acked(line: Line, type_url: str) -> str:
    """The version of a type that the server holds to be ACKed, on whichever stream."""
    (version,) = {status.types[type_url].acked for status in line.ads.statuses() if type_url in status.types}
    return version


def knows(line: Line, *types: str) -> bool:
    """Whether Envoy has asked the server, on whatever streams, for these types."""
    return set(types) <= {type_url for status in line.ads.statuses() for type_url in status.types}


async def runs_connect_timeout(line: Line, milliseconds: int) -> bool:
    clusters: list[Any] = (await line.envoy.dump())["ClustersConfigDump"].get("dynamic_active_clusters", [])
    return [item["cluster"]["connect_timeout"] for item in clusters] == [f"{milliseconds / 1000:.3f}s"]
