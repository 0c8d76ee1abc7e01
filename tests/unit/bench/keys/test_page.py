"""The committed figures are those of a whole run."""

from pathlib import Path

import pytest

from bench.keys.effort import USUAL
from bench.keys.main import NAME
from bench.report import marks

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "benchmarks-keys.md").read_text()


@pytest.mark.parametrize("keys", USUAL.sizes)
def test_the_page_has_every_size(keys):
    begin, end = marks(NAME)
    tables = PAGE.partition(begin)[2].partition(end)[0]

    assert tables.count(f"| {keys:,} keys |") == 4
    assert f"until {USUAL.services} authorizers" in tables
