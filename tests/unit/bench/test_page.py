"""The committed figures are those of the suites as they are."""

import re
from pathlib import Path

import pytest

from bench.report import marks
from bench.suites import SUITES

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "benchmarks.md").read_text()


@pytest.mark.parametrize("name", sorted(SUITES))
def test_the_page_has_every_variant_of_a_suite(name: str):
    begin, end = marks(name)
    _, begun, rest = PAGE.partition(begin)
    tables, ended, _ = rest.partition(end)

    assert begun
    assert ended
    assert re.findall(r"^- `([\w-]+)`: ", tables, re.MULTILINE) == [item.name for item in SUITES[name].variants]
    assert all(f"| {probe.name} |" in tables for probe in SUITES[name].probes)


@pytest.mark.parametrize("name", sorted(SUITES))
def test_the_baseline_of_a_suite_is_one_of_its_variants(name: str):
    assert SUITES[name].baseline in [item.name for item in SUITES[name].variants]
