"""Settlements that wait for the store: told when it is back, in order, and given up with their holds."""

import pytest
import structlog
from prometheus_client import CollectorRegistry

from ratelimit_service import late_settlements
from ratelimit_service.claims import Settled
from ratelimit_service.late_settlements import LateSettlements
from ratelimit_service.scripts import StoreUnavailable
from tests.support.clock import StillClock
from tests.support.eventually import eventually


class Store:
    """Remembers what it was told, while it is there."""

    def __init__(self):
        self.told = []
        self.away = True
        self.deaf = set()

    async def settle(self, hold, claims):
        if self.away or hold in self.deaf:
            raise StoreUnavailable("away")
        self.told.append(hold)
        return Settled(known=True)


class Bench:
    def __init__(self):
        self.clock = StillClock()
        self.store = Store()
        self.registry = CollectorRegistry()
        self.lines = structlog.testing.LogCapture()
        log = structlog.wrap_logger(None, processors=[self.lines])
        self.late = LateSettlements(self.store, registry=self.registry, clock=self.clock, log=log)

    def ended(self, end):
        return self.registry.get_sample_value("tollgate_ratelimit_settlements_late_total", {"end": end})

    def waiting(self):
        return self.registry.get_sample_value("tollgate_ratelimit_settlements_waiting")


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(late_settlements, "PAUSE", 0.01)
    return Bench()


async def test_they_are_told_when_the_store_is_back_in_order(bench):
    for name in ("one", "two", "three"):
        bench.late.add(name, (), seconds=60)
    await eventually(lambda: bench.waiting() == 3)
    bench.store.away = False

    await eventually(lambda: bench.ended("told") == 3)

    assert bench.store.told == ["one", "two", "three"]
    assert bench.waiting() == 0
    await bench.late.close()


async def test_one_that_the_store_does_not_answer_holds_up_no_other(bench):
    """Of a cluster one server may be away."""
    bench.store.away = False
    bench.store.deaf = {"one"}
    for name in ("one", "two", "three"):
        bench.late.add(name, (), seconds=60)

    await eventually(lambda: bench.store.told == ["two", "three"])
    bench.store.deaf = set()

    await eventually(lambda: bench.store.told == ["two", "three", "one"])
    await bench.late.close()


async def test_those_whose_holds_are_over_are_given_up_and_told_of(bench):
    bench.late.add("one", (), seconds=60)
    bench.clock.advance(60)

    await eventually(lambda: bench.ended("given_up") == 1)
    await eventually(lambda: bench.lines.entries)

    assert [line["count"] for line in bench.lines.entries] == [1]
    await bench.late.close()


async def test_where_too_many_wait_the_oldest_is_given_up(bench, monkeypatch):
    monkeypatch.setattr(late_settlements, "MOST", 2)
    for name in ("one", "two", "three"):
        bench.late.add(name, (), seconds=60)
    bench.store.away = False

    await eventually(lambda: bench.ended("told") == 2)

    assert bench.store.told == ["two", "three"]
    assert bench.ended("given_up") == 1
    await bench.late.close()


async def test_the_end_of_the_process_tries_once_more(bench):
    bench.late.add("one", (), seconds=60)
    bench.store.away = False

    await bench.late.close()

    assert bench.store.told == ["one"]
    assert bench.ended("given_up") == 0


async def test_after_a_pause_it_works_again(bench):
    bench.store.away = False
    for name in ("one", "two"):
        bench.late.add(name, (), seconds=60)
        await eventually(lambda: bench.waiting() == 0)

    assert bench.store.told == ["one", "two"]
    await bench.late.close()
