"""The store's going and coming back is one line each; every take is measured."""

import pytest
import structlog
from prometheus_client import CollectorRegistry

from ratelimit_service.metrics import LimitMetrics
from ratelimit_service.store import StoreUnavailable
from ratelimit_service.watch import STEADY, WatchedCounters
from tests.support.clock import StillClock
from tests.support.counters import MemoryCounters


class Bench:
    """Watched counters and what they left behind."""

    def __init__(self):
        self.clock = StillClock()
        self.memory = MemoryCounters(self.clock)
        self.registry = CollectorRegistry()
        self.lines = structlog.testing.LogCapture()
        log = structlog.wrap_logger(None, processors=[self.lines])
        self.counters = WatchedCounters(self.memory, metrics=LimitMetrics(self.registry), clock=self.clock, log=log)

    async def fail(self):
        self.memory.broken = True
        with pytest.raises(StoreUnavailable):
            await self.counters.take((), 1)
        self.memory.broken = False

    def events(self):
        return [line["event"].partition(":")[0] for line in self.lines.entries]


@pytest.fixture
def bench():
    return Bench()


async def test_many_failures_are_one_line(bench):
    for _ in range(5):
        await bench.fail()

    assert bench.events() == ["store down"]
    assert bench.registry.get_sample_value("tollgate_ratelimit_store_errors_total") == 5


async def test_the_store_is_back_when_it_has_been_steady(bench):
    await bench.fail()
    await bench.counters.take((), 1)
    assert bench.events() == ["store down"]

    bench.clock.advance(STEADY)
    await bench.counters.take((), 1)
    await bench.counters.take((), 1)

    assert bench.events() == ["store down", "store up"]
    assert bench.registry.get_sample_value("tollgate_ratelimit_store_seconds_count") == 3


async def test_a_flapping_store_is_one_line(bench):
    for _ in range(3):
        await bench.fail()
        bench.clock.advance(STEADY / 2)
        await bench.counters.take((), 1)

    assert bench.events() == ["store down"]
