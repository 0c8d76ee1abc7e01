"""The machinery of `make bench-llm`, a few calls of each kind of variant but LiteLLM. No figure is judged."""

import json
from collections.abc import Iterator

import pytest

from bench.llm import memory
from bench.llm.effort import Effort, Kind
from bench.llm.ground import Ground, llm_ground
from bench.llm.loads import Results, measured
from bench.llm.report import as_json, as_markdown
from bench.llm.variants import NATIVE, VARIANTS
from service_kit.clock import SystemClock

FEW = Effort(
    rounds=2, warm_up=2, whole=Kind(8, 4, streamed=False), at_once=Kind(4, 2), paced=Kind(4, 4, pause=1),
    calm=Kind(1, 1, pause=1), written_down=0.0,
)  # fmt: skip
# One of each kind: whole gateways differ by their configurations, which unit tests compile.
GATEWAYS = ("native", "translated")
OURS = [variant for variant in VARIANTS if variant.name in ("provider", "bare", "bare-log", *GATEWAYS)]
FACTS = {"command": "make bench-llm", "CPU": "any"}
WHOLE = {"envoy", "authz", "ratelimit", "ledger", "translator", "store", "control_plane", "supervisor"}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with llm_ground(tmp_path_factory.mktemp("cache")) as found:
        yield found


@pytest.fixture(scope="module")
def results(ground: Ground) -> Results:
    return measured(ground, OURS, FEW, SystemClock(), lambda _: None)


def test_every_variant_has_its_figures(results: Results):
    assert list(results.variants) == [variant.name for variant in OURS]
    for item in results.variants.values():
        assert {kind: len(costs) for kind, costs in item.costs.items()} == dict.fromkeys(FEW.kinds, FEW.rounds)


def test_every_process_is_counted(results: Results):
    counted = {name: set(item.after) for name, item in results.variants.items()}

    assert counted == {
        "provider": set(),
        "bare": {"envoy"},
        "bare-log": {"envoy"},
        **dict.fromkeys(GATEWAYS, WHOLE),
    }


def test_only_what_is_translated_goes_through_python_chunk_by_chunk(results: Results):
    translator = {
        name: item.costs["paced"][0].cpu["translator"]
        for name, item in results.variants.items()
        if "translator" in item.after
    }

    assert max(translator, key=translator.__getitem__) == "translated"


def test_results_can_be_written(results: Results):
    assert set(json.loads(as_json(results, FACTS))["variants"]) == set(results.variants)
    assert as_markdown(results, FACTS).count("| translated |") == 6


def test_streams_are_counted_while_memory_is_looked_at(ground: Ground):
    native = next(variant for variant in VARIANTS if variant.name == NATIVE)

    found = memory.grown(ground, native, 20, 5.0, SystemClock(), lambda _: None)

    assert [look.streams for look in found.looks] == list(range(2, 21, 2))
    assert set(found.looks[-1].memory) == WHOLE
