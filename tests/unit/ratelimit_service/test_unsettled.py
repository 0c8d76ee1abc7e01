"""Calls whose end never came are on the disk before the store forgets them."""

import json

import pytest
import structlog
from prometheus_client import CollectorRegistry

from ratelimit_service.claims import Hold
from ratelimit_service.metrics import LimitMetrics
from ratelimit_service.unsettled import UnsettledCalls
from tests.support.clock import StillClock
from tests.support.counters import MemoryCounters


@pytest.fixture
def log():
    return structlog.testing.LogCapture()


@pytest.fixture
def counters():
    return MemoryCounters(StillClock())


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def calls(counters, registry, log):
    logger = structlog.wrap_logger(None, processors=[log])
    return UnsettledCalls(counters, metrics=LimitMetrics(registry), clock=counters.clock, log=logger)


async def lost(counters, *names):
    for name in names:
        await counters.take([], Hold(name, 1_000_000, json.dumps({"route": name})))
    counters.clock.advance(2)


async def test_each_is_a_line_and_then_forgotten(tmp_path, counters, calls, registry):
    file = tmp_path / "events"
    await lost(counters, "a", "b")
    await calls.look(file)
    await lost(counters, "c")
    await calls.look(file)
    await calls.look(file)

    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["hold"], line["route"]) for line in found] == [("a", "a"), ("b", "b"), ("c", "c")]
    assert counters.untouched
    assert registry.get_sample_value("tollgate_ratelimit_unsettled_holds_total") == 3


async def test_one_that_is_under_way_is_none(tmp_path, counters, calls):
    await counters.take([], Hold("a", 10**9))

    await calls.look(tmp_path / "events")

    assert not (tmp_path / "events").exists()


async def test_what_cannot_be_written_is_not_forgotten(tmp_path, counters, calls, log):
    await lost(counters, "a")

    await calls.look(tmp_path / "nowhere" / "events")
    assert not counters.untouched
    assert [line["reason"] for line in log.entries] == ["No such file or directory"]

    await calls.look(tmp_path / "events")
    assert counters.untouched


async def test_a_store_that_is_away_is_asked_again(tmp_path, counters, calls):
    await lost(counters, "a")
    counters.broken = True
    await calls.look(tmp_path / "events")
    counters.broken = False

    await calls.look(tmp_path / "events")

    assert (tmp_path / "events").read_text().count("\n") == 1
