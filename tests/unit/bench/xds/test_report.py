import json
from dataclasses import replace

import pytest

from bench.xds.acknowledged import Acknowledged
from bench.xds.corpus import Edit, Shape
from bench.xds.crowd import Fanned
from bench.xds.effort import Effort
from bench.xds.goals import goals
from bench.xds.report import as_json, as_markdown
from bench.xds.results import BY_HOSTS, SHARED, Cold, Edited, Endured, Results, Spread

MIB = 1 << 20
SHAPE = Shape(10_000, 100)
OF_HOSTS = replace(SHAPE, hosts=True)
EFFORT = Effort(
    cold=2, edits=2, clients=50, fanned=1, budget=MIB, endured=10_000, endured_seconds=9, shapes=(SHAPE,)
)  # fmt: skip
FACTS = {"command": "make bench-xds", "CPU": "2 x fast"}


def spread(shape: Shape, protocol: str, clients: int, kind: Edit) -> Spread:
    fanned = Fanned(total=0.5 * clients, spread=0.25 * clients, size=clients * MIB, server_cpu=0.2, client_cpu=0.1)
    return Spread(shape, protocol, clients, kind, 1.5, (fanned,), 300 * MIB)


@pytest.fixture
def results() -> Results:
    seen = (Acknowledged(0.5, 0.1, 0.2, 7000, 0.3), Acknowledged(0.7, 0.1, 0.2, 7000, 0.3))
    steps = ({"noticed": 0.2, "read": 0.1, "compiled": 0.1, "accepted": 0.1},)
    sizes = {kind.value: 1000 * place for place, kind in enumerate(Edit, 1)}
    return Results(
        EFFORT,
        (Cold(SHAPE, (3.0, 4.0), (1.0, 1.0), {"RouteConfiguration": 7_840_000}),),
        (Edited(SHAPE, seen, steps, sizes),),
        tuple(
            spread(shape, protocol, clients, kind)
            for shape, protocols in ((SHAPE, SHARED), (OF_HOSTS, BY_HOSTS))
            for protocol in protocols
            for clients in (1, 50)
            for kind in Edit
        ),
        Endured(SHAPE, 10_000, 5_000, 12.0, (100 * MIB, 200 * MIB, 210 * MIB)),
    )


def test_tables_hold_ratios_of_the_same_run_and_what_they_are_made_of(results: Results):
    lines = as_markdown(results, FACTS).splitlines()

    name = "10,000 routes in 100 files"
    assert f"| {name} | 3.50 (3.00-4.00) | 3.50 (3.00-4.00) | 1.00 (1.00-1.00) | 7,840,000 | 0 |" in lines
    assert f"| {name} | 4.50 (4.00-5.00) | 800 | 1000 | 600 (500-700) | 100 (100-100) | 200 (200-200) |" in lines
    assert f"| {name} | 200 (200-200) | 100 (100-100) | 100 (100-100) | 100 (100-100) | 500 (500-500) |" in lines
    row = "50.00 | 25.00 (25.00-25.00) | 12.50 | 50.0 | 4 | 0.20 | 0.10 | 1.5 | 300"
    assert f"| {name} | route, SotW | 50 | {row} |" in lines
    assert f"| {name}, a host each | route, delta by hosts | 50 | {row} |" in lines
    assert "| 10,000 | 210 | 1.05 |" in lines


def test_goals_are_told_with_what_was_measured(results: Results):
    assert [(goal.limit, round(goal.measured, 2), goal.met) for goal in goals(results)] == [
        (5.0, 3.5, True),
        (1.0, 0.9, True),
        (2.0, 25.0, False),
        (2.0, 25.0, False),  # with a host for each file
        (1.1, 1.05, True),
    ]


def test_nothing_is_said_of_memory_after_a_few_edits(results: Results):
    few = replace(results, effort=replace(EFFORT, endured=200))

    assert [goal.unit for goal in goals(few)] == ["s", "s", "s", "s"]


def test_json_has_every_sample(results: Results):
    found = json.loads(as_json(results, FACTS))

    assert [seen["made"] for seen in found["edited"][0]["seen"]] == [0.5, 0.7]
    assert found["spread"][0]["kind"] == "route"
    assert found["facts"] == FACTS
