"""Every answer of the store is timed."""

from prometheus_client import CollectorRegistry

from ratelimit_service.watch import WatchedCounters
from tests.support.clock import StillClock
from tests.support.counters import MemoryCounters


async def test_takes_and_settlements_are_timed():
    registry = CollectorRegistry()
    clock = StillClock()
    counters = WatchedCounters(MemoryCounters(clock), registry=registry, clock=clock)

    await counters.take(())
    await counters.take(())
    await counters.settle("one", ())

    counts = [
        registry.get_sample_value("tollgate_ratelimit_store_seconds_count", {"operation": operation})
        for operation in ("take", "settle")
    ]
    assert counts == [2, 1]
