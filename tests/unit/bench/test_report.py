import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from bench.measure import Measured, Results, Round
from bench.report import as_json, as_markdown, inserted
from bench.resources import Memory
from bench.suite import Effort, Probe, Suite, Variant

MIB = 1 << 20
FACTS = {"command": "make bench", "CPU": "2 x fast"}


def variant(name: str) -> Variant:
    return Variant(name, f"shows {name}", lambda _ground: nullcontext())


def measured(name: str, *busy: dict[str, float], latency: float) -> Measured:
    rounds = tuple(
        Round(
            busy_cpu=cpu,
            paced_cpu={process: 2 * seconds for process, seconds in cpu.items()},
            generator_cpu=0.00005,
            latency={50: latency, 90: 2 * latency, 99: 3 * latency},
            lag={50: 0.0001, 90: 0.0002, 99: 0.0003},
        )
        for cpu in busy
    )
    before = {process: Memory(10 * MIB, MIB) for process in busy[0]}
    after = {process: Memory(12 * MIB, MIB) for process in busy[0]}
    return Measured(variant(name), rounds, dict.fromkeys(busy[0], 0.002), before, after)


@pytest.fixture
def results() -> Results:
    found = (
        measured("nothing", {}, {}, latency=0.0005),
        measured("bare", {"envoy": 0.0001}, {"envoy": 0.0002}, latency=0.001),
        measured("full", {"envoy": 0.0002, "authz": 0.0001}, {"envoy": 0.0004, "authz": 0.0004}, latency=0.003),
    )
    suite = Suite(
        name="small",
        title="Small",
        baseline="bare",
        ground=nullcontext,
        variants=tuple(item.variant for item in found),
        probes=(Probe("edit", "an edit", lambda *_: []),),
    )
    effort = Effort(rounds=2, warm_up=1, busy=10, paced=9, rate=100.0, connections=2, probes=3)
    return Results(suite, effort, {item.variant.name: item for item in found}, {"edit": (0.2, 0.3, 0.4)})


def test_tables_hold_ratios_of_the_same_round_and_what_they_are_made_of(results: Results):
    lines = as_markdown(results, FACTS).splitlines()

    assert "| bare | 1.00 (1.00-1.00) | 150 (100-200) | 150 |  | 1.00 (1.00-1.00) | 300 | 2.0 |" in lines
    assert "| full | 3.50 (3.00-4.00) | 550 (300-800) | 300 | 250 | 3.50 (3.00-4.00) | 1100 | 4.0 |" in lines
    assert [line for line in lines if line.startswith("| full | 3.00 (3.00-3.00) | 3.00")]
    assert "| full | 24 (+4.0) | 12 (+2.0) | 12 (+2.0) |" in lines
    assert "| edit | 300 (200-400) | an edit |" in lines
    assert lines[-1] == "CPU 2 x fast."


def test_a_variant_without_processes_stands_in_the_latencies_alone(results: Results):
    rows = [line for line in as_markdown(results, FACTS).splitlines() if line.startswith("| nothing")]

    assert len(rows) == 1
    assert "0.50 (0.50-0.50)" in rows[0]


def test_programs_get_every_round(results: Results):
    document = json.loads(as_json(results, FACTS))

    assert document["facts"] == FACTS
    assert document["baseline"] == "bare"
    assert [round_["busy_cpu"]["envoy"] for round_ in document["variants"]["full"]["rounds"]] == [0.0002, 0.0004]
    assert document["variants"]["full"]["memory"]["authz"]["after"] == {"rss": 12 * MIB, "pss": MIB}
    assert document["probes"] == {"edit": [0.2, 0.3, 0.4]}


def test_tables_replace_what_stands_between_the_marks_of_their_suite(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- bench small -->\nold\n<!-- end of bench small -->\nbelow\n")

    assert inserted(page, "small", "new\n") == "above\n<!-- bench small -->\nnew\n<!-- end of bench small -->\nbelow\n"


def test_a_page_without_marks_becomes_the_tables(tmp_path: Path):
    assert inserted(tmp_path / "new.md", "small", "tables\n") == "tables\n"
