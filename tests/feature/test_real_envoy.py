"""The real Envoy refuses a change in either protocol: it goes on with what it had, and says why."""

import pytest

from control_plane.server.types import ENVOYS
from control_plane.xds.names import CLUSTER_TYPE
from tests.support.eventually import eventually
from tests.support.live_envoy import STARTED, backend, is_saying, line
from tests.support.modes import ADS_MODES, Mode
from tests.support.xds import cluster, endpoints, listener, routes


@pytest.mark.parametrize("mode", ADS_MODES, ids=lambda mode: mode.name)
async def test_the_real_envoy_keeps_last_good_and_says_why(mode: Mode) -> None:
    async with backend("one") as one, line(mode) as found:
        rest = (listener("front", "r"), endpoints("a", one), routes("r", a="a"))
        await found.publish(*rest, cluster("a"))
        await eventually(is_saying(found.envoy, "/a", "one"), within=STARTED)

        outcome = await found.publish(*rest, cluster("a", connect_ms=-1))
        (refused,) = outcome.refused
        assert (refused.refusal.type_url, refused.refusal.names) == (CLUSTER_TYPE, ("a",))
        assert "duration" in refused.refusal.message
        assert await found.envoy.says("/a") == "one"
        # It ACKs the last good one, which is what whoever comes next gets.
        await eventually(lambda: found.ads.converged(ENVOYS.cluster))

        await found.publish(*rest, cluster("a", connect_ms=500))
        await eventually(lambda: found.ads.converged(ENVOYS.cluster))
