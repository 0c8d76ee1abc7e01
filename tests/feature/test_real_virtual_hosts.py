"""The real Envoy takes virtual hosts one by one, and never waits for some that it was told long ago."""

from control_plane.server.types import ENVOYS
from control_plane.snapshot import Resource
from control_plane.xds.names import ROUTES
from tests.support.eventually import eventually
from tests.support.live_envoy import SOON, Line, backend, is_saying, line
from tests.support.modes import Mode
from tests.support.xds import cluster, endpoints, listener, routes

MODE = Mode("delta-hosts", "DELTA_GRPC", hosts=True)
DRAINED = 1


async def forgets_the_table(found: Line, *rest: Resource) -> None:
    """Its listeners leave, and a moment later the last that was of them."""
    await found.publish(*rest)
    await eventually(lambda: tables(found), within=SOON)


async def tables(found: Line) -> bool:
    return not (await found.envoy.dump()).get("RoutesConfigDump", {}).get("dynamic_route_configs")


async def hosts(found: Line) -> list[str]:
    (table,) = (await found.envoy.dump())["RoutesConfigDump"]["dynamic_route_configs"]
    return [item["name"] for item in table["route_config"]["virtual_hosts"]]


async def test_a_table_that_comes_back_serves_at_once() -> None:
    async with backend("one") as one, line(MODE, drain=DRAINED) as found:
        rest = (cluster("a"), endpoints("a", one), routes(ROUTES, a="a"))
        await found.publish(*rest, listener("front", ROUTES))
        await eventually(is_saying(found.envoy, "/a", "one"), within=SOON)
        assert await hosts(found) == [f"{ROUTES}/all"]

        await forgets_the_table(found, *rest)
        await found.publish(*rest, listener("front", ROUTES, prefix="second"))
        await eventually(is_saying(found.envoy, "/a", "one"), within=SOON)

        # Again, with a control plane that was not there before.
        await forgets_the_table(found, *rest)
        await found.stop_control_plane()
        await found.start_control_plane()
        await found.publish(*rest)
        await eventually(lambda: bool(found.ads.statuses()), within=SOON)
        await found.publish(*rest, listener("front", ROUTES, prefix="third"))
        await eventually(is_saying(found.envoy, "/a", "one"), within=SOON)


async def test_what_changed_while_it_was_away_is_all_that_is_pushed() -> None:
    async with backend("one") as one, backend("two") as two, line(MODE) as found:
        rest = (cluster("a"), cluster("b"), endpoints("a", one), endpoints("b", two), listener("front", ROUTES))
        await found.publish(*rest, routes(ROUTES, a="a"))
        await eventually(is_saying(found.envoy, "/a", "one"), within=SOON)

        await found.stop_control_plane()
        await found.start_control_plane()
        await found.publish(*rest, routes(ROUTES, a="b"))

        await eventually(is_saying(found.envoy, "/a", "two"), within=SOON)
        await eventually(lambda: bool(found.ads.statuses()) and found.ads.converged(ENVOYS.cluster), within=SOON)
