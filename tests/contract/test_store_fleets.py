"""Stores of several servers: a master that Sentinels name, and a cluster. Servers die, freeze, and give slots away."""

import asyncio

import pytest
from redis.crc import key_slot

from ratelimit_service.failures import FailureKind
from ratelimit_service.store import redis_store
from tests.support.eventually import eventually
from tests.support.steps import PATIENT, Told, count, counted, failure
from tests.support.valkey import cluster_fleet, sentinel_fleet

# Seconds until another server has taken over, on a busy machine.
TAKEN_OVER = 15.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with cluster_fleet(tmp_path_factory.mktemp("cluster")) as fleet:
        yield fleet


@pytest.fixture
def told():
    return Told()


@pytest.fixture
async def store(cluster, told):
    opened = redis_store(cluster.address, PATIENT, watch=told)
    yield opened
    await opened.close()


def keys_of(cluster, master, wanted=1):
    """Keys that one of the masters has."""
    number = cluster.masters.index(master)
    names = (f"{{{name}}}" for name in range(1000))
    found = [name for name in names if key_slot(name.encode()) * 3 // 16384 == number]
    return found[:wanted]


async def answered(store, key):
    return await failure(store, key) is None


async def test_steps_go_to_the_server_that_has_the_slot_and_share_its_round_trips(store, told):
    await asyncio.gather(*(counted(store, f"{{k{number}}}") for number in range(60)))
    before = len(told.batches)

    numbers = await asyncio.gather(*(counted(store, f"{{k{number}}}") for number in range(60)))

    assert numbers == [2] * 60
    assert len(told.batches) - before <= 6


async def test_a_slot_that_is_being_moved_is_followed_and_nothing_is_counted_twice(cluster, store):
    source, target, _ = cluster.masters
    (key, *_) = keys_of(cluster, source)
    slot = key_slot(key.encode())
    assert await counted(store, key) == 1

    cluster.move(slot, source, target)
    assert await counted(store, key) == 2  # it is still there
    source.command("MIGRATE", "127.0.0.1", target.port, key, 0, 1000)
    assert await counted(store, key) == 3  # asked at the target, for this step
    cluster.moved(slot, target)
    assert await counted(store, key) == 4  # told where it is now

    cluster.move(slot, target, source)
    target.command("MIGRATE", "127.0.0.1", source.port, key, 0, 1000)
    cluster.moved(slot, source)
    assert await counted(store, key) == 5


async def test_a_server_of_a_cluster_is_no_single_store(cluster):
    store = redis_store(f"redis://{cluster.masters[0].host_port}")

    (key,) = keys_of(cluster, cluster.masters[1])

    assert await failure(store, key) is FailureKind.CLUSTER
    await store.close()


async def test_one_frozen_server_holds_up_its_own_slots_alone(cluster, store):
    _, frozen, well = cluster.masters
    (of_frozen,), (of_well,) = keys_of(cluster, frozen), keys_of(cluster, well)
    await asyncio.gather(counted(store, of_frozen), counted(store, of_well))
    frozen.freeze()

    kinds = await asyncio.gather(*(failure(store, of_frozen) for _ in range(10)))
    assert FailureKind.TIMEOUT in kinds
    assert None not in kinds
    assert await failure(store, of_well) is None

    frozen.thaw()
    await eventually(lambda: answered(store, of_frozen), within=TAKEN_OVER)


async def test_a_replica_that_takes_over_is_found(tmp_path, told):
    """On a cluster of its own, since the master does not come back as one."""
    with cluster_fleet(tmp_path) as fleet:
        store = redis_store(fleet.address, PATIENT, watch=told)
        dead = fleet.masters[0]
        (key,) = keys_of(fleet, dead)
        assert await counted(store, key) == 1
        dead.command("WAIT", 1, 1000)
        dead.kill()

        await eventually(lambda: answered(store, key), within=TAKEN_OVER)

        assert dead.host_port in told.gone
        assert await counted(store, key) > 1
        await store.close()


async def test_no_server_of_a_cluster_at_all(tmp_path):
    store = redis_store("redis+cluster://127.0.0.1:1,127.0.0.1:2")

    assert await failure(store) is FailureKind.CLUSTER
    await store.close()


async def test_a_master_that_fails_over_is_found_without_a_restart(tmp_path):
    """One of three Sentinels is frozen: it must not hold up those that answer."""
    with sentinel_fleet(tmp_path) as fleet:
        store = redis_store(fleet.address, PATIENT)
        assert await counted(store) == 1
        dead = fleet.master
        dead.command("WAIT", 1, 1000)
        dead.kill()
        await eventually(lambda: fleet.master is not dead, within=TAKEN_OVER)
        fleet.sentinels[2].freeze()

        await eventually(lambda: answered(store, "{a}"), within=TAKEN_OVER)

        assert await counted(store) > 2
        await store.close()


async def test_no_sentinel_at_all(tmp_path):
    store = redis_store("redis+sentinel://127.0.0.1:1,127.0.0.1:2/counters")

    with pytest.raises(Exception, match="no Sentinel names a master 'counters'"):
        await store.call(count())
    await store.close()
