"""The committed figures are those of a whole run."""

from pathlib import Path

import pytest

from bench.ratelimit.effort import USUAL
from bench.ratelimit.main import NAME
from bench.ratelimit.variants import BASELINE, VARIANTS
from bench.report import marks

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "benchmarks-ratelimit.md").read_text()


def tables():
    begin, end = marks(NAME)
    return PAGE.partition(begin)[2].partition(end)[0]


@pytest.mark.parametrize("name", [variant.name for variant in VARIANTS])
def test_the_page_has_every_variant(name):
    assert tables().count(f"| {name} |") == (2 if name == BASELINE else 3)


@pytest.mark.parametrize("callers", USUAL.callers)
def test_nothing_on_the_page_is_oversold(callers):
    rows = [line.strip("| ").split(" | ") for line in tables().splitlines()]
    overshoot = {row[0]: row[-1] for row in rows if len(row) == 7 and row[1] == f"{callers:,}"}

    assert overshoot == {"calls": "0", "tokens, held and settled": "0"}
