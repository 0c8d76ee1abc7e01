"""The machinery of `make bench-xds` on a handful of routes and clients: everything is there. No figure is judged."""

from collections import Counter

import pytest

from bench.xds.corpus import Edit, Shape
from bench.xds.effort import Effort
from bench.xds.report import as_markdown
from bench.xds.results import Results, measured
from service_kit.clock import SystemClock

SHAPE = Shape(4, 2)
FEW = Effort(
    cold=1, edits=1, clients=3, fanned=1, budget=1, endured=4, endured_seconds=30, shapes=(SHAPE,), endured_shape=SHAPE
)  # fmt: skip


@pytest.fixture(scope="module")
def results() -> Results:
    return measured(FEW, SystemClock(), lambda _: None)


def test_a_compile_takes_longer_than_reading_its_files(results: Results):
    assert [item.shape.hosts for item in results.cold] == [False, True]
    assert all(item.compiled > item.read for item in results.cold)


def test_an_edit_reaches_envoy_by_steps(results: Results):
    (edited,) = results.edited
    (seen,) = edited.seen
    (steps,) = edited.steps

    assert min(seen.made, seen.size, *steps.values()) > 0
    assert seen.total > seen.compiled > 0
    assert edited.sizes["route"] > edited.sizes["endpoint"]


def test_every_kind_of_edit_reaches_one_client_and_as_many_as_the_bytes_allow(results: Results):
    assert Counter((item.protocol, item.clients) for item in results.spread) == {
        ("SotW", 1): 4,  # each kind, and an edit of a route to the only one that it may reach
        ("SotW", 3): 2,
        ("delta", 1): 4,
        ("delta", 3): 2,
        ("delta by hosts", 1): 4,
        ("delta by hosts", 3): 2,
    }
    assert all(seen.total >= seen.spread >= 0 for item in results.spread for seen in item.seen)
    assert all(min(seen.server_cpu, seen.client_cpu) > 0 for item in results.spread for seen in item.seen)


def test_every_client_is_sent_the_same(results: Results):
    sizes = {(item.protocol, item.clients, item.kind): item.seen[0].size for item in results.spread}

    for protocol in ("SotW", "delta", "delta by hosts"):
        one = sizes[protocol, 1, Edit.ENDPOINT]
        assert abs(sizes[protocol, 3, Edit.ENDPOINT] - 3 * one) <= 3 * 2  # a nonce may be a digit longer


def test_memory_is_looked_at_all_along(results: Results):
    assert results.endured.edits == FEW.endured
    assert len(results.endured.rss) == 1 + FEW.endured


def test_results_can_be_written(results: Results):
    assert as_markdown(results, {"command": "make bench-xds"}).count("| 4 routes in 2 files |") >= 4
