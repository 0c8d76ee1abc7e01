"""A run with few calls: everything is really started, and every figure is there. No time is judged."""

import json

import pytest

from bench.load import LoadFailed
from bench.ratelimit.effort import QUICK, USUAL, Effort
from bench.ratelimit.main import parsed
from bench.ratelimit.report import as_json, as_markdown
from bench.ratelimit.results import measured
from bench.ratelimit.services import ground
from bench.ratelimit.variants import REFUSED, VARIANTS, of_route
from bench.ratelimit.wire import ONE, calls
from service_kit.clock import SystemClock

FEW = Effort(
    rounds=1, warm_up=4, busy=20, in_flight=8, paced=10, rate=200.0, keys=500, full_keys=100,
    callers=(1, 30), sustained=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def results():
    return measured(FEW, SystemClock(), lambda _: None)


def test_every_variant_is_measured(results):
    assert list(results.loads.rounds) == [variant.name for variant in VARIANTS]
    for rounds in results.loads.rounds.values():
        assert len(rounds) == FEW.rounds
        assert min(rounds[0].busy.service, rounds[0].busy_latency[50], rounds[0].paced_latency[99]) > 0


def test_the_store_is_asked_once_a_call_unless_it_is_known_what_it_says(results):
    steps = {name: rounds[0].busy.steps for name, rounds in results.loads.rounds.items()}

    assert steps["empty"] == 0
    assert [steps[name] for name in ("1 rule", "4 rules", "8 rules", "hold and settle", "swap-in")] == [FEW.busy] * 5
    assert steps["used up"] < FEW.busy


def test_counters_take_memory(results):
    assert [kept.keys for kept in results.kept] == [FEW.keys, FEW.full_keys, FEW.keys]
    assert min(kept.bytes for kept in results.kept) > 0


def test_nothing_is_oversold(results):
    assert [(race.callers, race.admitted, race.overshoot) for race in results.races] == [
        (1, 100, 0), (1, 100, 0), (30, 100, 0), (30, 100, 0),
    ]  # fmt: skip
    assert results.steady.most <= results.steady.limit


def test_results_can_be_written(results):
    facts = {"command": "make bench-ratelimit", "CPU": "any"}

    assert set(json.loads(as_json(results, facts))["loads"]["rounds"]) == set(results.loads.rounds)
    assert as_markdown(results, facts).count("| 8 rules |") == 3


def test_answers_that_are_not_what_they_should_be_fail_the_load(tmp_path):
    with ground(tmp_path) as started:
        path = started.services["limits"].path
        with pytest.raises(LoadFailed, match="1 of 1 answers"):
            calls(path, of_route("one")(1, ""), ONE, REFUSED, SystemClock())
        with pytest.raises(LoadFailed, match="refused by gRPC"):
            calls(path, of_route("nowhere")(1, ""), ONE, b"", SystemClock())


def test_a_look_is_smaller_than_a_run():
    assert parsed(["--quick"]).quick
    assert QUICK.busy < USUAL.busy
