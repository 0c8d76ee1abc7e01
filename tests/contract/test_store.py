"""What a store promises of each step, on each real server of this machine: answered once, in time, or not at all."""

import asyncio
import time
from collections.abc import Iterator

import pytest
import redis.asyncio

from ratelimit_service.breaker import STEADY, State
from ratelimit_service.connections import Login, StoreOptions
from ratelimit_service.failures import FailureKind, Unanswered
from ratelimit_service.store import redis_store
from tests.support.eventually import eventually
from tests.support.slow_proxy import slow_proxy
from tests.support.steps import PATIENT, Told, count, counted, failure, is_up
from tests.support.valkey import StoreServer, store_binaries, valkey_server

BINARIES = store_binaries()
# Seconds; several times the store's own timeout, since a machine may be busy, and far below a retry loop.
SOON = 2.0


@pytest.fixture(scope="module", params=sorted(BINARIES))
def shared(request, tmp_path_factory) -> Iterator[StoreServer]:
    with valkey_server(tmp_path_factory.mktemp("store"), BINARIES[request.param]) as running:
        yield running


@pytest.fixture
def server(shared):
    """The server as if it were new, whatever the test before did to it."""
    if not shared.runs:
        shared.start()
    shared.thaw()
    for words in (
        ("CONFIG", "SET", "maxmemory", 0),
        ("CONFIG", "SET", "maxmemory-policy", "noeviction"),
        ("FLUSHALL",),
    ):
        shared.command(*words)
    shared.command("SCRIPT", "FLUSH")
    return shared


@pytest.fixture
def told():
    return Told()


@pytest.fixture
async def store(server, told):
    opened = redis_store(server.address, PATIENT, watch=told)
    yield opened
    await opened.close()


async def unavailable_after(store):
    """Seconds until a step failed."""
    begun = time.monotonic()
    with pytest.raises(Unanswered):
        await counted(store)
    return time.monotonic() - begun


async def test_steps_that_arrive_together_share_round_trips(store, told):
    await counted(store)

    numbers = await asyncio.gather(*(counted(store) for _ in range(200)))

    assert sorted(numbers) == list(range(2, 202))
    assert len(told.batches) <= 6


async def test_a_flushed_script_is_loaded_again_and_runs_once(server, store):
    await counted(store)
    server.command("SCRIPT", "FLUSH")

    numbers = await asyncio.gather(*(counted(store) for _ in range(9)))

    assert sorted(numbers) == list(range(2, 11))


async def test_a_killed_store_is_unavailable_at_once_and_back_by_itself(server, store, told):
    assert await counted(store, amount=3) == 3
    server.kill()

    assert [await failure(store) for _ in range(5)] == [FailureKind.CONNECTION] * 3 + [FailureKind.RESTING] * 2
    server.start()
    await eventually(lambda: is_up(store))

    assert await counted(store) == 4
    assert [state for _, state in told.states][:3] == [State.UP, State.OPEN, State.HALF_OPEN]


async def test_while_it_is_tried_one_step_at_a_time_waits_for_it(server, store, told):
    server.kill()
    await asyncio.gather(*(failure(store) for _ in range(5)))
    await eventually(lambda: failure_kinds(store, 1))
    server.start()

    await eventually(lambda: told.states[-1][1] is State.HALF_OPEN or is_up(store))
    await eventually(lambda: is_up(store))
    for _ in range(STEADY):
        await counted(store)

    assert told.states[-1][1] is State.UP


async def failure_kinds(store, most):
    kinds = await asyncio.gather(*(failure(store) for _ in range(20)))
    return kinds.count(FailureKind.CONNECTION) == most and kinds.count(FailureKind.RESTING) == 20 - most


async def test_a_frozen_store_is_unavailable_in_time_and_answers_do_not_mix_afterwards(server, store):
    """A late answer must not be read as that of a later step on the same connection."""
    await asyncio.gather(*(counted(store) for _ in range(20)))
    server.freeze()
    late = await asyncio.gather(*(unavailable_after(store) for _ in range(20)))
    assert max(late) < SOON

    server.thaw()
    await eventually(lambda: is_up(store))
    await eventually(lambda: all_answered(store, 50))
    fresh = await asyncio.gather(*(counted(store, f"fresh-{n}", n + 1) for n in range(50)))
    assert fresh == [n + 1 for n in range(50)]


async def all_answered(store, steps):
    return all(kind is None for kind in await asyncio.gather(*(failure(store) for _ in range(steps))))


async def test_a_cancelled_step_leaves_no_answer_behind(store):
    """Envoy hangs up at its own deadline, in the middle of a step."""
    for _ in range(40):
        task = asyncio.create_task(store.call(count(amount=7)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    fresh = await asyncio.gather(*(counted(store, f"fresh-{n}", n + 1) for n in range(50)))
    assert fresh == [n + 1 for n in range(50)]


async def test_an_error_of_one_step_is_that_steps_alone(server, store, told):
    server.command("SET", "text", "no number")

    for _ in range(5):
        assert await failure(store, "text") is FailureKind.ERROR

    assert await counted(store) == 1
    assert [state for _, state in told.states] == [State.UP]


async def test_a_full_store_fails_as_one_that_is_away(server, store, told):
    await counted(store)
    server.command("CONFIG", "SET", "maxmemory", 1)

    kinds = [await failure(store) for _ in range(4)]
    server.command("CONFIG", "SET", "maxmemory", 0)
    await eventually(lambda: is_up(store))

    assert kinds == [FailureKind.FULL] * 3 + [FailureKind.RESTING]
    assert await counted(store) == 2


async def test_a_store_that_wants_replicas_and_has_none_is_away(server, store):
    server.command("CONFIG", "SET", "min-replicas-to-write", 1)

    kind = await failure(store)
    server.command("CONFIG", "SET", "min-replicas-to-write", 0)

    assert kind is FailureKind.REPLICAS
    assert await counted(store) == 1


async def test_a_store_that_only_follows_another_is_left_and_found_again(server, store):
    """What stands behind the address may change: the next connection finds out."""
    await counted(store)
    server.command("REPLICAOF", "127.0.0.1", 1)

    kind = await failure(store)
    server.command("REPLICAOF", "NO", "ONE")

    assert kind is FailureKind.READ_ONLY
    assert await counted(store) == 2


async def test_a_store_that_throws_counters_away_is_told_of(server, store, told):
    server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")

    await counted(store)

    (found,) = await eventually(lambda: list(told.surveys.values()))
    assert (found.evicts, found.policy, found.persists) == (True, "allkeys-lru", True)


async def test_a_slow_store_is_waited_for_up_to_the_timeout(server):
    """As long as it is quicker than that, calls take as long as it does."""
    async with slow_proxy(server.address.removeprefix("unix:")) as proxy:
        patient = redis_store(f"redis://127.0.0.1:{proxy.port}", StoreOptions(timeout=0.9))
        impatient = redis_store(f"redis://127.0.0.1:{proxy.port}")
        assert [await counted(store) for store in (patient, impatient)] == [1, 2]

        proxy.delay = 0.05
        assert set(await asyncio.gather(*(failure(patient) for _ in range(20)))) == {None}
        proxy.delay = 2.0
        assert set(await asyncio.gather(*(failure(impatient) for _ in range(20)))) == {FailureKind.TIMEOUT}
        proxy.delay = 0

        await eventually(lambda: is_up(impatient))
        await patient.close()
        await impatient.close()


async def test_no_server_at_all_is_unavailable(tmp_path):
    store = redis_store(f"unix:{tmp_path}/nobody.sock")

    assert await unavailable_after(store) < SOON
    await store.close()


async def test_a_user_of_the_access_control_list_and_a_password_that_is_exchanged(server, tmp_path, told):
    file = tmp_path / "password"
    file.write_text("first\n")
    server.command("ACL", "SETUSER", "limits", "reset", "on", ">first", "~tg:*", "+evalsha", "+script|load", "+incrby")
    options = StoreOptions(login=Login(username="limits", password_file=file))
    store = redis_store(server.address, options, watch=told)

    assert await counted(store, "tg:{a}") == 1
    assert await failure(store, "another") is FailureKind.LOGIN
    server.command("ACL", "SETUSER", "limits", "<first", ">second")
    server.command("CLIENT", "KILL", "USER", "limits")
    await eventually(lambda: failed_with(store, "tg:{a}", FailureKind.LOGIN))
    file.write_text("second\n")

    await eventually(lambda: failed_with(store, "tg:{a}", None))
    server.command("ACL", "DELUSER", "limits")
    await store.close()


async def failed_with(store, key, kind):
    return await failure(store, key) is kind


async def test_without_an_append_only_file_it_is_told_of(tmp_path, told):
    with valkey_server(tmp_path, settings={"--appendonly": "no"}) as server:
        store = redis_store(server.address, watch=told)
        await counted(store)

        (found,) = await eventually(lambda: list(told.surveys.values()))
        assert not found.persists
        await store.close()


async def test_another_client_sees_what_was_counted(server, store):
    await counted(store, amount=5)

    async with redis.asyncio.Redis(unix_socket_path=server.address.removeprefix("unix:")) as client:
        assert int(await client.get("{a}")) == 5
