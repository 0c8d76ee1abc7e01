"""The committed figures are those of a whole run."""

from pathlib import Path

import pytest

from bench.report import marks
from bench.xds.effort import USUAL
from bench.xds.main import NAME

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "benchmarks-xds.md").read_text()


@pytest.fixture
def tables() -> str:
    begin, end = marks(NAME)
    _, begun, rest = PAGE.partition(begin)
    found, ended, _ = rest.partition(end)
    assert begun
    assert ended
    return found


@pytest.mark.parametrize("shape", USUAL.shapes, ids=str)
def test_the_page_has_every_size(tables: str, shape: object):
    assert tables.count(f"| {shape} |") >= 4


def test_the_page_has_as_many_clients_as_a_whole_run(tables: str):
    assert f"| {USUAL.clients:,} |" in tables
