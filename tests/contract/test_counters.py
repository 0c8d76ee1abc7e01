"""What is taken, held, settled and granted in a real store: in one step, and slot by slot as on a cluster."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from redis.asyncio import BlockingConnectionPool, Connection, Redis, UnixDomainSocketConnection
from redis.crc import key_slot

from ratelimit_service import steps
from ratelimit_service.claims import Calendar, CalendarUnit, Charged, Claim, Hold, InFlight, Settled, Unsettled
from ratelimit_service.counters import Counters
from ratelimit_service.keys import counter_key, slot_name
from ratelimit_service.places import KEPT
from ratelimit_service.scripts import StoreUnavailable
from ratelimit_service.windows import MICROSECONDS, Window
from service_kit.clock import SystemClock
from tests.support.clock import StillClock
from tests.support.scripts import ClientScripts
from tests.support.valkey import SLOTS, cluster_fleet, store_binaries, valkey_server

BINARIES = store_binaries()
SECOND = MICROSECONDS
HOUR = 3600 * SECOND
LEASE = HOUR
NEW_YEAR = 1_704_067_200 * SECOND


def claim(slot, measure, amount=1, **options):
    return Claim(counter_key([slot], [f"{measure}"]), slot_name([slot]), measure, amount, **options)


# Their slots are on three servers of the cluster.
MINUTE = claim("a", Window(10, 60 * SECOND), held=True)
MONTH = claim("b", Calendar(10, CalendarUnit.MONTH), held=True)
AT_ONCE = claim("c", InFlight(10, HOUR), held=True)
ALL = (MINUTE, MONTH, AT_ONCE)


def amounts(*numbers):
    return tuple(replace(one, amount=number) for one, number in zip(ALL, numbers, strict=True))


@pytest.fixture(scope="module", params=sorted(BINARIES))
def server(request, tmp_path_factory):
    with valkey_server(tmp_path_factory.mktemp("store"), BINARIES[request.param]) as running:
        yield running


@asynccontextmanager
async def connected(kind, **options):
    """A client whose calls wait for one of a few connections."""
    pool = BlockingConnectionPool(connection_class=kind, max_connections=4, timeout=10, **options)
    yield Redis(connection_pool=pool)
    await pool.disconnect()


@pytest.fixture
async def client(server):
    async with connected(UnixDomainSocketConnection, path=server.address.removeprefix("unix:")) as opened:
        await opened.flushall()
        yield opened


@pytest.fixture(params=[False, True], ids=["one-step", "slot-by-slot"])
def scripts(request, client):
    return ClientScripts(lambda _: client, clustered=request.param)


@pytest.fixture
def counters(scripts):
    return Counters(scripts, SystemClock())


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    with cluster_fleet(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
async def cluster(fleet):
    """Scripts on a cluster, of which nobody has used any counter."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(Connection, port=one.port)) for one in fleet.masters]
        for one in clients:
            await one.flushall()

        def client_of(key):
            return clients[key_slot(key.encode()) * len(clients) // SLOTS]

        yield ClientScripts(client_of, clustered=True)


async def used(counters):
    return [state.used for state in await counters.read(ALL)]


async def test_of_200_calls_at_once_exactly_those_pass_that_are_affordable(counters, scripts):
    calls = (counters.take(amounts(3, 3, 1), Hold(str(number), LEASE)) for number in range(200))
    taken = await asyncio.gather(*calls)

    admitted = sum(one.admitted for one in taken)
    # slot by slot a call may find what another is about to give back
    assert admitted in ((1, 2, 3) if scripts.clustered else (3,))
    assert await used(counters) == [3 * admitted, 3 * admitted, admitted]


async def test_of_200_calls_on_the_last_unit_one_passes(counters):
    await counters.take(amounts(9, 9, 9), Hold("all but one", LEASE))

    taken = await asyncio.gather(*(counters.take(ALL, Hold(str(number), LEASE)) for number in range(200)))

    assert sum(one.admitted for one in taken) == 1
    assert await used(counters) == [10, 10, 10]


async def test_a_refused_call_takes_nothing_anywhere(counters, client):
    refused = await counters.take(amounts(3, 3, 11), Hold("one", LEASE))

    assert not refused.admitted
    assert [reading.count for reading in refused.readings] == [0, 0, 0]
    assert [reading.retry > 0 for reading in refused.readings] == [False, False, True]
    assert await used(counters) == [0, 0, 0]
    assert await counters.settle("one", ()) == Settled(known=False)
    # a calendar window that was given back is there, and counts nothing
    assert all(b":month:" in key for key in await client.keys())


async def test_a_rule_in_report_mode_counts_where_it_fits(counters):
    reported = replace(MINUTE, amount=6, report=True)

    taken = [await counters.take((reported, MONTH), Hold(str(number), LEASE)) for number in range(2)]
    await counters.settle("1", (replace(reported, amount=0), MONTH))

    assert [one.admitted for one in taken] == [True, True]
    assert [one.readings[0].retry > 0 for one in taken] == [False, True]
    assert await used(counters) == [6, 2, 0]


async def test_a_settlement_corrects_every_place_once(counters):
    await counters.take(amounts(5, 6, 1), Hold("one", LEASE))
    month = (await counters.read((MONTH,)))[0]
    assert (month.used, month.held) == (6, 6)

    assert await counters.settle("one", amounts(2, 3, 1)) == Settled(known=True)
    assert await counters.settle("one", amounts(0, 0, 0)) == Settled(known=False)

    assert await used(counters) == [2, 3, 0]
    assert (await counters.read((MONTH,)))[0].held == 0


async def test_of_settlements_at_once_one_counts(counters):
    await counters.take(amounts(5, 6, 1), Hold("one", LEASE))
    await counters.take(amounts(5, 4, 1), Hold("two", LEASE))

    settled = await asyncio.gather(*(counters.settle("one", amounts(1, 1, 1)) for _ in range(20)))

    assert sum(one.known for one in settled) == 1
    assert await used(counters) == [6, 5, 1]


async def test_a_repeated_hold_takes_nothing_and_leaves_the_first_as_it_is(counters):
    await counters.take(amounts(5, 6, 1), Hold("one", LEASE))

    repeated = await counters.take(amounts(1, 1, 1), Hold("one", LEASE))

    assert (repeated.admitted, repeated.repeated, repeated.readings) == (False, True, (None, None, None))
    assert await used(counters) == [5, 6, 1]
    await counters.settle("one", amounts(0, 0, 0))
    assert await used(counters) == [0, 0, 0]


async def test_unsettled_holds_are_told_until_they_are_acknowledged(counters, scripts):
    for number in range(5):
        await counters.take(amounts(1, 1, 1), Hold(f"over {number}", -SECOND, f"note {number}"))
    await counters.take((MONTH,), Hold("under way", LEASE))
    charges = (Charged(MINUTE.key, 1), Charged(MONTH.key, 1))
    expected = [Unsettled(f"over {number}", f"note {number}", charges) for number in range(5)]

    assert len(await counters.unsettled(3)) == 3
    another_process = Counters(scripts, SystemClock())
    assert sorted(await another_process.unsettled(9), key=lambda one: one.id) == expected

    for one in expected:
        assert await another_process.settle(one.id, ()) == Settled(known=True)
    assert await counters.unsettled(9) == ()
    month = (await counters.read((MONTH,)))[0]
    assert (month.used, month.held) == (6, 1)


async def test_a_late_settlement_counts_until_the_hold_is_acknowledged(counters):
    await counters.take(amounts(5, 6, 1), Hold("one", -SECOND))

    assert await counters.settle("one", amounts(2, 3, 1)) == Settled(known=True)

    assert await used(counters) == [2, 3, 0]
    assert await counters.unsettled(9) == ()


async def test_a_grant_is_added_and_a_reset_leaves_what_is_held(counters):
    await counters.take((replace(MONTH, amount=6, held=False),))
    await counters.take((replace(MONTH, amount=4),), Hold("one", LEASE))
    assert not (await counters.take((MONTH,), Hold("two", LEASE))).admitted

    granted = await counters.grant(MONTH, 2)
    passed = await counters.take((replace(MONTH, amount=2, held=False),))
    forgotten = await counters.reset(MONTH)

    assert (granted.used, granted.held, granted.granted) == (10, 4, 2)
    assert (passed.admitted, passed.readings[0].count, passed.readings[0].granted) == (True, 12, 2)
    assert (forgotten.used, forgotten.held, forgotten.granted) == (4, 4, 2)
    await counters.settle("one", (replace(MONTH, amount=1),))
    assert (await counters.read((MONTH,)))[0].used == 1


async def test_only_a_calendar_window_is_granted_or_reset(counters):
    with pytest.raises(TypeError, match="calendar"):
        await counters.grant(MINUTE, 2)


async def test_calls_under_way_need_a_hold(counters):
    with pytest.raises(ValueError, match="are held"):
        await counters.take((AT_ONCE,))
    with pytest.raises(ValueError, match="are held"):
        await counters.take((replace(AT_ONCE, held=False),), Hold("one", LEASE))


async def test_every_key_expires(counters, client):
    await counters.take(amounts(5, 6, 1), Hold("one", LEASE))
    await counters.take(amounts(1, 1, 1), Hold("two", 2 * LEASE))
    await counters.take(amounts(1, 1, 1), Hold("three", LEASE))
    await counters.settle("three", amounts(2, 0, 0))
    await counters.grant(claim("d", Calendar(1, CalendarUnit.DAY)), 5)

    expiries = {key.decode(): await client.pttl(key) * 1000 for key in await client.keys()}

    assert all(expiry > 0 for expiry in expiries.values())
    records = [expiry for key, expiry in expiries.items() if "!holds" in key]
    assert max(records) > 2 * LEASE + KEPT - 60 * SECOND
    month = next(expiry for key, expiry in expiries.items() if ":month:" in key)
    assert KEPT - 60 * SECOND < month <= KEPT + 31 * 86400 * SECOND


async def test_the_store_decides_which_calendar_window_counts(scripts):
    """Our clock is an hour behind the store's, or ahead, at the turn of a month."""
    for ours in (NEW_YEAR - HOUR, NEW_YEAR + HOUR):
        counters = Counters(scripts, StillClock(ours / SECOND))
        for number, now in enumerate((NEW_YEAR - 1, NEW_YEAR, NEW_YEAR + 1)):
            scripts.now = now
            taken = await counters.take((MONTH,), Hold(f"{ours}-{number}", LEASE))
            assert taken.admitted
            assert taken.now == now
            state = (await counters.read((MONTH,)))[0]
            assert (state.begins == NEW_YEAR) == (now >= NEW_YEAR)

    assert (await counters.read((MONTH,)))[0].used == 4
    scripts.now = NEW_YEAR - 1
    assert (await counters.read((MONTH,)))[0].used == 2


async def test_a_settlement_finds_the_month_that_the_call_began_in(scripts):
    counters = Counters(scripts, StillClock((NEW_YEAR - 1) / SECOND))
    scripts.now = NEW_YEAR - 1
    await counters.take(amounts(5, 6, 1), Hold("one", LEASE))

    scripts.now = NEW_YEAR + 10 * SECOND
    await counters.settle("one", amounts(2, 3, 1))

    assert await used(counters) == [2, 0, 0]
    scripts.now = NEW_YEAR - 1
    assert (await counters.read((MONTH,)))[0].used == 3


async def test_large_amounts_are_exact(counters):
    most = 2**50
    large = claim("e", Calendar(most, CalendarUnit.MONTH), most - 1, held=True)
    larger = claim("f", Window(most, HOUR), most - 1, held=True)
    await counters.take((large, larger), Hold("one", LEASE))

    taken = await counters.take((replace(large, amount=1), replace(larger, amount=1)), Hold("two", LEASE))
    assert taken.admitted
    assert not (await counters.take((replace(larger, amount=1),))).admitted

    await counters.settle("one", (replace(large, amount=most - 2), replace(larger, amount=most - 2)))
    assert [state.used for state in await counters.read((large, larger))] == [most - 1, most - 1]


async def test_what_cannot_be_given_back_stays_counted(counters, scripts):
    """Slot by slot the last one refuses, and the servers of the others are gone by then."""
    scripts.fails = lambda step: step.script is steps.UNDO

    refused = await counters.take(amounts(3, 3, 11), Hold("one", LEASE))

    assert (refused.admitted, refused.degraded) == (False, scripts.clustered)
    assert await used(counters) == ([3, 3, 0] if scripts.clustered else [0, 0, 0])


async def test_a_store_that_fails_between_slots_gives_back_what_was_taken(counters, scripts):
    scripts.fails = lambda step: any("{c}" in key for key in step.keys)

    with pytest.raises(StoreUnavailable):
        await counters.take(ALL, Hold("one", LEASE))

    assert [state.used for state in await counters.read((MINUTE, MONTH))] == [0, 0]


async def test_what_a_take_left_that_was_lost_between_slots_is_given_back_by_its_settlement(counters, scripts):
    """The answer of the last slot was lost, and the servers of the others were gone by then."""

    def is_lost(step):
        return step.script is steps.UNDO or any("{c}" in key or "!holds" in key for key in step.keys)

    scripts.fails = is_lost
    with pytest.raises(StoreUnavailable):
        await counters.take(ALL, Hold("one", LEASE))
    scripts.fails = lambda _: False
    assert await used(counters) == ([1, 1, 0] if scripts.clustered else [0, 0, 0])

    assert await counters.settle("one", amounts(0, 0, 0)) == Settled(known=scripts.clustered)

    assert await used(counters) == [0, 0, 0]
    assert await counters.settle("one", amounts(5, 5, 1)) == Settled(known=False)


async def test_a_settled_hold_leaves_nothing_behind(counters, client):
    free = claim("d", Window(10, 60 * SECOND))
    await counters.take((*ALL, free), Hold("one", LEASE))

    await counters.settle("one", amounts(0, 0, 0))

    assert not [key for key in await client.keys() if b"!hold" in key]


async def test_a_refusal_is_one_although_another_slot_cannot_be_looked_at(counters, scripts):
    scripts.fails = lambda step: scripts.clustered and any("{c}" in key for key in step.keys)

    refused = await counters.take((replace(MINUTE, amount=11), MONTH, AT_ONCE), Hold("one", LEASE))

    assert (refused.admitted, refused.degraded) == (False, scripts.clustered)
    assert [reading is None for reading in refused.readings] == [False, False, scripts.clustered]


async def test_a_settlement_that_failed_half_way_is_told_again(counters, scripts):
    await counters.take(amounts(5, 6, 1), Hold("one", LEASE))
    scripts.fails = lambda step: any("{b}" in key for key in step.keys) or not scripts.clustered
    with pytest.raises(StoreUnavailable):
        await counters.settle("one", amounts(2, 3, 1))

    scripts.fails = lambda _: False
    assert await counters.settle("one", amounts(2, 3, 1)) == Settled(known=True)
    assert await counters.settle("one", amounts(2, 3, 1)) == Settled(known=False)
    assert await used(counters) == [2, 3, 0]


async def test_on_a_cluster_a_refusal_of_one_server_is_undone_on_the_others(cluster):
    counters = Counters(cluster, SystemClock())
    assert len({cluster._client_of(one.key) for one in ALL}) == 3

    refused = await counters.take(amounts(3, 3, 11), Hold("one", LEASE))

    assert (refused.admitted, refused.degraded) == (False, False)
    assert await used(counters) == [0, 0, 0]


async def test_on_a_cluster_a_call_is_held_and_settled(cluster):
    counters = Counters(cluster, SystemClock())
    admitted = await asyncio.gather(*(counters.take(amounts(3, 2, 1), Hold(f"{n}", -SECOND)) for n in range(40)))
    names = [str(number) for number, taken in enumerate(admitted) if taken.admitted]
    assert 1 <= len(names) <= 3
    assert await used(counters) == [3 * len(names), 2 * len(names), len(names)]

    assert {one.id for one in await counters.unsettled(99)} == set(names)
    for name in names:
        assert (await counters.settle(name, amounts(1, 2, 1))).known
        assert not (await counters.settle(name, amounts(0, 0, 0))).known

    assert await used(counters) == [len(names), 2 * len(names), 0]
