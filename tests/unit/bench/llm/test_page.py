"""The committed figures are those of the variants as they are."""

import re
from pathlib import Path

from bench.llm.main import NAME
from bench.llm.variants import VARIANTS
from bench.report import marks

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "benchmarks-llm.md").read_text()


def test_the_page_has_every_variant():
    begin, end = marks(NAME)
    tables = PAGE.partition(begin)[2].partition(end)[0]

    assert re.findall(r"^- `([\w-]+)`: ", tables, re.MULTILINE) == [variant.name for variant in VARIANTS]


def test_the_page_tells_what_bounds_every_variant():
    told = re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE)

    assert told == [variant.name for variant in VARIANTS if variant.name != "provider"]
