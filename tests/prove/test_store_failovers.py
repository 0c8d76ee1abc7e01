"""Failovers that take Sentinels long to agree on: a master that is frozen, and one that is demoted while it runs."""

import pytest

from ratelimit_service.store import redis_store
from tests.support.eventually import eventually
from tests.support.steps import PATIENT, counted, is_up
from tests.support.valkey import sentinel_fleet

# Seconds; Sentinels look at a server that came back every ten.
TAKEN_OVER = 60.0


def freeze(fleet):
    fleet.master.freeze()


def demote(fleet):
    """Its connections stay open and answer that it only follows now."""
    fleet.sentinels[0].command("SENTINEL", "FAILOVER", "counters")


@pytest.mark.parametrize("fail", [freeze, demote])
async def test_the_new_master_counts_on(tmp_path, fail):
    with sentinel_fleet(tmp_path) as fleet:
        store = redis_store(fleet.address, PATIENT)
        first = fleet.master
        assert await counted(store) == 1
        first.command("WAIT", 1, 1000)
        fail(fleet)
        await eventually(lambda: fleet.master is not first, within=TAKEN_OVER)

        await eventually(lambda: is_up(store), within=TAKEN_OVER)
        await eventually(lambda: counted_by(store, fleet.master), within=TAKEN_OVER)

        assert int(fleet.master.command("GET", "{a}")) >= 2
        await store.close()


async def counted_by(store, master):
    """Until the old master has learnt that it is none, it may count what is then lost."""
    before = master.command("GET", "{a}")
    return await is_up(store) and await counted(store) and master.command("GET", "{a}") != before
