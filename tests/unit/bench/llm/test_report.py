import json
from contextlib import nullcontext

import pytest

from bench.llm.effort import QUICK
from bench.llm.loads import Cost, Measured, Results
from bench.llm.memory import Grown, Look
from bench.llm.memory import as_json as memory_json
from bench.llm.memory import as_markdown as memory_tables
from bench.llm.report import as_json, as_markdown
from bench.llm.variants import Variant
from bench.resources import Memory

MIB = 1 << 20
FACTS = {"command": "make bench-llm", "CPU": "2 x fast"}


def cost(cpu: dict[str, float], first: float) -> Cost:
    return Cost(cpu, 50.0, {50: first, 99: 2 * first}, {50: 0.0002, 99: 0.0004}, {50: 0.005, 99: 0.006})


def measured(name: str, *cpu: dict[str, float], first: float = 0.001) -> Measured:
    costs = [cost(seconds, first) for seconds in cpu]
    return Measured(
        Variant(name, f"shows {name}", lambda _ground: nullcontext()),
        dict.fromkeys(QUICK.kinds, costs),
        0.002,
        dict.fromkeys(cpu[0], Memory(10 * MIB, MIB)),
        dict.fromkeys(cpu[0], Memory(12 * MIB, MIB)),
    )


@pytest.fixture
def results() -> Results:
    found = (
        measured("provider", {}, {}, first=0.0005),
        measured("bare", {"envoy": 0.001}, {"envoy": 0.002}),
        measured("native", {"envoy": 0.001, "ledger": 0.001}, {"envoy": 0.003, "ledger": 0.001}, first=0.003),
        measured("litellm", {"litellm": 0.1}, {"litellm": 0.3}),
    )
    return Results(QUICK, {item.variant.name: item for item in found})


def test_ratios_are_those_of_the_same_round(results: Results):
    lines = as_markdown(results, FACTS).splitlines()

    assert lines.count("| native | 2.00 (2.00-2.00) | 62.5 (50.0-75.0) | 3.00 (2.00-4.00) | 2.00 | 1.00 |  |") == 3
    assert (
        lines.count("| litellm | 125.00 (100.00-150.00) | 1.0 (1.0-1.0) | 200.00 (100.00-300.00) |  |  | 200.00 |") == 3
    )
    assert "| native | 24 (+4.0) | 2.0 |" in lines
    assert lines[-1] == "CPU 2 x fast."


def test_what_is_wanted_stands_beside_what_was_found(results: Results):
    lines = as_markdown(results, FACTS).splitlines()

    assert "| paced | 2.00 (2.00-2.00) | 1.25 (1.00-1.50) | 62.50 (50.00-75.00) |" in lines
    assert "| wanted | at most 1.6 |  | at least 25 |" in lines


def test_a_variant_without_processes_stands_where_callers_look(results: Results):
    rows = [line for line in as_markdown(results, FACTS).splitlines() if line.startswith("| provider |")]

    assert len(rows) == 2
    assert "| 0.50 (0.50-0.50) |" in rows[0]


@pytest.mark.parametrize("missing", ["bare", "litellm", "native"])
def test_a_variant_may_be_left_out(results: Results, missing: str):
    left = {name: item for name, item in results.variants.items() if name != missing}
    tables = as_markdown(Results(QUICK, left), FACTS)

    assert f"| {missing} |" not in tables
    assert ("| wanted |" in tables) == (missing == "litellm")


def test_programs_get_every_round(results: Results):
    document = json.loads(as_json(results, FACTS))

    assert document["facts"] == FACTS
    assert [found["cpu"] for found in document["variants"]["bare"]["costs"]["calm"]] == [
        {"envoy": 0.001}, {"envoy": 0.002},
    ]  # fmt: skip
    assert document["variants"]["native"]["after"]["ledger"] == {"rss": 12 * MIB, "pss": MIB}


def looks(count: int) -> Grown:
    memory = [{"envoy": Memory((70 + number) * MIB, MIB), "ledger": Memory(80 * MIB, MIB)} for number in range(count)]
    return Grown(100_000, [Look(10_000 * (number + 1), 60.0 * number, each) for number, each in enumerate(memory)])


def test_growth_is_what_came_between_the_first_look_and_the_last():
    tables = memory_tables(looks(10), FACTS)

    assert "| 10,000 streams | 150.0 | 70.0 | 80.0 |" in tables
    assert "| from the first to the last | +9.0 | +9.0 | +0.0 |" in tables
    assert "no more time" not in tables
    assert len(json.loads(memory_json(looks(10), FACTS))["looks"]) == 10


def test_a_run_that_was_cut_short_says_so():
    tables = memory_tables(looks(3), FACTS)

    assert "30,000 streams of 200 chunks" in tables
    assert "Of 100,000 that were wanted" in tables
