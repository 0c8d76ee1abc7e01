"""What is told of a store: a series for each state, one line for each change."""

import pytest
import structlog
from prometheus_client import CollectorRegistry

from ratelimit_service.breaker import State
from ratelimit_service.failures import FailureKind
from ratelimit_service.store_watch import StoreMetrics
from ratelimit_service.survey import survey

UP, OPEN, HALF_OPEN = State


class Bench:
    def __init__(self):
        self.registry = CollectorRegistry()
        self.lines = structlog.testing.LogCapture()
        self.watch = StoreMetrics(self.registry, structlog.wrap_logger(None, processors=[self.lines]))

    def events(self):
        return [line["event"].partition(":")[0] for line in self.lines.entries]

    def value(self, name, **labels):
        return self.registry.get_sample_value(f"tollgate_ratelimit_store_{name}", labels)


@pytest.fixture
def bench():
    return Bench()


def test_the_way_down_and_up_is_one_line_each(bench):
    for state in (UP, OPEN, HALF_OPEN, OPEN, HALF_OPEN, UP):
        bench.watch.state("store", state, "Connection refused")

    assert bench.events() == ["store down", "store up"]
    assert bench.lines.entries[0]["reason"] == "Connection refused"


def test_the_state_is_a_series_each(bench):
    bench.watch.state("store", UP, "")
    bench.watch.state("store", OPEN, "")

    assert [bench.value("state", server="store", state=state.value) for state in State] == [0, 1, 0]


def test_errors_are_counted_by_kind(bench):
    bench.watch.failed(FailureKind.FULL)

    assert bench.value("errors_total", kind="full") == 1
    assert bench.value("errors_total", kind="timeout") == 0


def test_steps_of_round_trips(bench):
    bench.watch.round_trip(0.001, 5)

    assert bench.value("round_trip_steps_sum") == 5
    assert bench.value("round_trip_seconds_count") == 1


@pytest.mark.parametrize(
    ("info", "events", "unsafe"),
    [
        ({"maxmemory_policy": "noeviction", "aof_enabled": 1}, [], (0, 0)),
        ({}, [], (0, 0)),
        ({"maxmemory_policy": "allkeys-lru"}, ["the store throws counters away when it is full"], (1, 0)),
        ({"aof_enabled": 0}, ["the store forgets all counts when it ends"], (0, 1)),
    ],
)
def test_a_store_that_would_lose_counts_is_told_of_once(bench, info, events, unsafe):
    for _ in range(3):
        bench.watch.surveyed("store", survey(info))

    assert bench.events() == events
    assert tuple(bench.value("unsafe", server="store", what=what) for what in ("evicts", "forgets")) == unsafe


def test_a_server_that_left_leaves_no_series(bench):
    bench.watch.state("store", UP, "")
    bench.watch.surveyed("store", survey({}))
    bench.watch.left("store")

    assert bench.value("state", server="store", state="up") is None
    assert bench.value("unsafe", server="store", what="evicts") is None
