"""The machinery of `make bench`, a few requests each: every variant answers, nothing is left. No figure is judged."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.ground import gateway_ground
from bench.load import LoadFailed, load
from bench.measure import ONE, PERCENTILES, Results, measured, wait_until_it_serves
from bench.report import as_json, as_markdown
from bench.suite import Effort, Ground
from bench.suites import SUITES, gateway
from service_kit.clock import SystemClock
from tests.support.processes import runs

FEW = Effort(rounds=2, warm_up=2, busy=8, paced=8, rate=200.0, connections=2, probes=1)


@pytest.fixture(scope="module")
def results() -> Results:
    return measured(SUITES["gateway"], FEW, SystemClock(), lambda _: None)


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with gateway_ground() as ground:
        yield ground


def test_every_variant_has_its_figures(results: Results):
    assert list(results.variants) == [variant.name for variant in SUITES["gateway"].variants]
    for item in results.variants.values():
        assert len(item.rounds) == FEW.rounds
        for round_ in item.rounds:
            assert set(round_.latency) == set(PERCENTILES)
            assert set(round_.busy_cpu) == set(round_.paced_cpu) == set(item.before) == set(item.after)


def test_every_process_of_a_gateway_is_counted(results: Results):
    counted = {name: set(item.after) for name, item in results.variants.items()}
    whole = {"envoy", "authz", "ratelimit", "ledger", "translator", "store", "control_plane", "supervisor"}

    assert counted == {
        "upstream": set(),
        "bare": {"envoy"},
        "bare-log": {"envoy"},
        "public": {"envoy"},
        "native": {"envoy"},
        "empty-handler": {"envoy", "authz"},
        "authz": whole,
        "authz-and-limits": whole,
    }


def test_what_decides_a_request_takes_time_for_it(results: Results):
    busy = results.variants["authz-and-limits"].rounds[0].busy_cpu

    assert min(busy["envoy"], busy["authz"], busy["ratelimit"], busy["store"]) > 0


def test_an_edit_becomes_live(results: Results):
    assert len(results.probes["edit to live"]) == FEW.probes


def test_results_can_be_written(results: Results):
    facts = {"command": "make bench", "CPU": "any"}

    assert set(json.loads(as_json(results, facts))["variants"]) == set(results.variants)
    assert as_markdown(results, facts).count("| authz-and-limits |") == 3


def test_a_variant_leaves_no_process(ground: Ground):
    with gateway.empty_handler(ground) as running:
        pids = list(running.processes.values())

    assert [pid for pid in pids if runs(pid)] == []


def test_the_native_variant_checks_tokens_itself(ground: Ground):
    stranger = replace(ground, token=ground.token[:-8] + "A" * 8)
    with gateway.native_rules(ground) as running:
        wait_until_it_serves(running.target, SystemClock())

        with pytest.raises(LoadFailed, match="answer 1 was 503"):
            load(gateway.target(stranger, running.target.port), ONE, SystemClock())


def test_the_native_variant_counts_itself(ground: Ground, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gateway, "LIMITED_HERE", {"limits": [{"requests": "3/minute", "scope": "instance"}]})
    with gateway.native_rules(ground) as running:
        wait_until_it_serves(running.target, SystemClock())

        with pytest.raises(LoadFailed, match="answer 3 was 429"):
            load(running.target, replace(ONE, requests=5), SystemClock())
