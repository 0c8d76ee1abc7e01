"""The store's promises, against each real server of this machine."""

import asyncio
import time
from collections.abc import Iterator

import pytest
import redis.asyncio

from ratelimit_service.store import (
    Counter,
    StoreUnavailable,
    counter_key,
    redis_store,
)
from ratelimit_service.windows import MICROSECONDS, SUB_WINDOWS, Window
from tests.support.eventually import eventually
from tests.support.valkey import StoreServer, store_binaries, valkey_server

BINARIES = store_binaries()
HOUR = 3600 * MICROSECONDS
# Seconds; several times the store's own timeout, since a machine may be busy, and far below a retry loop.
SOON = 2.0


@pytest.fixture(params=sorted(BINARIES))
def server(request, tmp_path) -> Iterator[StoreServer]:
    with valkey_server(tmp_path, BINARIES[request.param]) as running:
        yield running


@pytest.fixture
async def store(server):
    opened = redis_store(server.address)
    yield opened
    await opened.close()


@pytest.fixture
async def client(server):
    """A second client, that looks at what the store keeps."""
    async with redis.asyncio.Redis(unix_socket_path=server.address.removeprefix("unix:")) as opened:
        yield opened


def counter(name, limit, period=HOUR):
    return Counter(counter_key(["tenant", "acme"], [name]), Window(limit, period))


async def admitted(store, counters, times=1, hits=1):
    taken = await asyncio.gather(*(store.take(counters, hits) for _ in range(times)))
    return sum(one.admitted for one in taken)


async def is_up(store):
    """Whether the store answers; used to wait for it."""
    try:
        await store.take([counter("probe", 10**6)], 1)
    except StoreUnavailable:
        return False
    return True


async def unavailable_after(store):
    """Seconds until a take failed."""
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.take([counter("a", 5)], 1)
    return time.monotonic() - begun


async def test_a_burst_into_an_empty_window_admits_exactly_the_limit(store):
    assert await admitted(store, [counter("a", 37)], times=200) == 37


async def test_all_counters_are_taken_or_none(store):
    wide, tight = counter("wide", 100), counter("tight", 3)

    assert await admitted(store, [wide, tight], times=20) == 3
    assert (await store.take([wide], 1)).readings[0].count == 4


async def test_the_answer_says_how_each_counter_stands(store):
    await store.take([counter("a", 2)], 2)

    taken = await store.take([counter("a", 2), counter("b", 5)], 1)

    full, free = taken.readings
    assert not taken.admitted
    assert (full.count, free.count) == (2, 0)
    assert HOUR - HOUR // SUB_WINDOWS <= full.retry <= HOUR + HOUR // SUB_WINDOWS
    assert full.reset == full.retry
    assert (free.reset, free.retry) == (0, 0)


async def test_a_refused_call_writes_nothing(store, client):
    await store.take([counter("a", 1)], 1)
    before = await client.hgetall(counter("a", 1).key)

    await admitted(store, [counter("a", 1), counter("b", 5)], times=5)

    assert await client.hgetall(counter("a", 1).key) == before
    assert not await client.exists(counter("b", 5).key)


async def test_a_short_window_frees_itself(store):
    second = [counter("a", 2, MICROSECONDS)]
    assert await admitted(store, second, times=5) == 2
    refused = await store.take(second, 1)
    assert 0 < refused.readings[0].retry <= MICROSECONDS + MICROSECONDS // SUB_WINDOWS

    await eventually(lambda: admitted(store, second), within=5)


@pytest.mark.parametrize("seconds", [1, 60, 86400])
async def test_every_counter_expires_soon_after_its_window(store, client, seconds):
    window = counter("a", 5, seconds * MICROSECONDS)
    await store.take([window], 1)

    milliseconds = await client.pttl(window.key)

    assert 0 < milliseconds <= seconds * 1000 * (1 + 1 / SUB_WINDOWS)
    assert milliseconds > seconds * 1000 * (1 + 1 / SUB_WINDOWS) - 900


async def test_keys_do_not_collide(store):
    parts = (["a:b", "c"], ["a", "b:c"], ["a", "b", "c"], ["a%3Ab", "c"], ["a}b", "c"], ["a{b", "c"])
    counters = [Counter(counter_key(["t"], part), Window(1, HOUR)) for part in parts]

    assert [await admitted(store, [one], times=2) for one in counters] == [1] * len(parts)


async def test_a_flushed_script_is_loaded_again(store, client):
    await store.take([counter("a", 5)], 1)
    await client.script_flush()

    assert await admitted(store, [counter("a", 5)], times=9) == 4


async def test_counts_survive_a_restart(server, store):
    assert await admitted(store, [counter("a", 5)], times=3) == 3
    server.stop()
    server.start()

    await eventually(lambda: is_up(store))
    assert await admitted(store, [counter("a", 5)], times=9) == 2


async def test_a_killed_store_is_unavailable_at_once_and_recovers(server, store):
    await store.take([counter("a", 5)], 1)
    server.kill()

    assert await unavailable_after(store) < SOON

    server.start()
    await eventually(lambda: is_up(store))


async def test_a_frozen_store_is_unavailable_in_time_and_answers_do_not_mix_afterwards(server, store):
    """A late answer must not be read as that of a later call on the same connection."""
    await admitted(store, [counter("a", 10**6)], times=20)
    server.freeze()
    late = await asyncio.gather(*(unavailable_after(store) for _ in range(20)))
    assert max(late) < SOON

    server.thaw()
    await eventually(lambda: is_up(store))
    fresh = await asyncio.gather(*(store.take([counter(f"fresh-{n}", n + 1)], n + 1) for n in range(50)))
    assert [one.readings[0].count for one in fresh] == [n + 1 for n in range(50)]


async def test_a_cancelled_take_leaves_no_answer_behind(store):
    """Envoy hangs up at its own deadline, in the middle of a take."""
    for _ in range(40):
        task = asyncio.create_task(store.take([counter("a", 10**6)], 7))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    fresh = await asyncio.gather(*(store.take([counter(f"fresh-{n}", n + 1)], n + 1) for n in range(50)))
    assert [one.readings[0].count for one in fresh] == [n + 1 for n in range(50)]


async def test_an_error_of_the_server_is_unavailable(store, client):
    await client.set(counter("a", 5).key, "not a hash")

    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        await store.take([counter("a", 5)], 1)


async def test_no_server_at_all_is_unavailable(tmp_path):
    store = redis_store(f"unix:{tmp_path}/nobody.sock")

    assert await unavailable_after(store) < SOON
    await store.close()
