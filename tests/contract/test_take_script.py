"""The script inside the store and the arithmetic in Python decide alike, whatever the sequence of calls."""

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_service.store import SCRIPT, Counter, script_arguments, taken_from_reply
from ratelimit_service.windows import MICROSECONDS, Window
from tests.support.clock import StillClock
from tests.support.counters import MemoryCounters
from tests.support.valkey import store_binaries, valkey_server

BINARIES = store_binaries()
EPOCH = 1_700_000_000 * MICROSECONDS
# (key, limit, seconds): neighbours in one call have different periods
COUNTERS = tuple(
    Counter(f"tg:{{t}}:{name}", Window(limit, seconds * MICROSECONDS))
    for name, limit, seconds in (("a", 1, 1), ("b", 3, 2), ("c", 7, 3), ("d", 5, 1), ("e", 10**12, 86400))
)
# Microseconds between calls: the edges of sub-windows and of periods (50 ms divides them all), what lies between, and a
# clock set back.
edges = st.builds(lambda count, offset: 50_000 * count + offset, st.integers(0, 70), st.integers(-1, 1))
moves = st.one_of(edges, st.integers(0, 2000), st.integers(0, 3_500_000), st.integers(-5_000_000, 0))
calls = st.lists(
    st.tuples(moves, st.lists(st.sampled_from(COUNTERS), max_size=4, unique=True), st.integers(1, 4)),
    min_size=1,
    max_size=40,
)


@pytest.fixture(scope="module", params=sorted(BINARIES))
def server(request, tmp_path_factory):
    with valkey_server(tmp_path_factory.mktemp("store"), BINARIES[request.param]) as running:
        yield running


@pytest.fixture(scope="module", params=["listpack", "hashtable"])
def client(request, server):
    """A store that keeps the fields of a hash in the order of their writing, or in none."""
    with redis.Redis(unix_socket_path=server.address.removeprefix("unix:")) as opened:
        opened.config_set("hash-max-listpack-entries", 512 if request.param == "listpack" else 0)
        yield opened


@given(calls)
@settings(max_examples=60, deadline=None)
def test_script_and_arithmetic_agree(client, sequence):
    client.flushall()
    script = client.register_script(SCRIPT)
    model = MemoryCounters(StillClock())
    now = EPOCH
    for move, counters, hits in sequence:
        now += move
        keys = [counter.key for counter in counters]

        reply = script(keys=keys, args=script_arguments(counters, hits, now=now))

        assert taken_from_reply(reply) == model.take_at(counters, hits, now)
        for key in keys:
            stored = {int(field): int(count) for field, count in client.hgetall(key).items()}
            assert sum(stored.values()) == sum(model.rings[key].values())
            assert client.pttl(key) > 0 or not stored


@pytest.mark.parametrize("offset", [0, 1, 49_999], ids=["first", "second", "last"])
def test_the_script_frees_a_full_counter_to_the_microsecond(client, offset):
    """The call lies in the first, second or last microsecond of its sub-window."""
    client.flushall()
    script = client.register_script(SCRIPT)
    full = [Counter("tg:{t}:full", Window(1, MICROSECONDS))]

    def take_at(now):
        return taken_from_reply(script(keys=[full[0].key], args=script_arguments(full, 1, now=now)))

    assert take_at(EPOCH + offset).admitted
    free = EPOCH + 50_000 + MICROSECONDS - 1
    assert take_at(EPOCH + offset).readings[0].retry == free - (EPOCH + offset)
    assert not take_at(free - 1).admitted
    assert take_at(free).readings[0].count == 1
