"""A run with few keys: everything is really started, and every figure is there."""

import json

import pytest

from bench.keys.effort import QUICK, USUAL, Effort
from bench.keys.main import parsed
from bench.keys.report import as_json, as_markdown
from bench.keys.results import measured

FEW = Effort(starts=1, changes=3, lookups=50, services=2, sizes=(20,))


@pytest.fixture(scope="module")
def results():
    return measured(FEW, lambda _: None)


def test_each_size_is_measured(results):
    assert [sized.keys for sized in results.sizes] == [20]
    for sized in results.sizes:
        assert len(sized.told["revoked"]) == len(sized.changes["created"]) == 3
        assert min(*sized.told["created"], *sized.changes["revoked"]) > 0
        assert sized.authorizers[0]["decision"] > 0


def test_the_tables_have_a_line_for_each_size(results):
    page = as_markdown(results, {"command": "make bench-keys", "CPU": "2 x fast"})

    assert page.count("| 20 keys |") == 4
    assert page.endswith("CPU 2 x fast.\n")


def test_all_samples_are_kept(results):
    found = json.loads(as_json(results, {"command": "make bench-keys"}))

    assert [len(sized["told"]["created"]) for sized in found["sizes"]] == [3]


def test_a_look_is_smaller_than_a_run():
    assert parsed(["--quick"]).quick
    assert max(QUICK.sizes) < max(USUAL.sizes) == 100_000
