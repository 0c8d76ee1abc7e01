"""docs/reference.md: every key, as the model has it, and the numbers of the code."""

import re

import pytest

from control_plane.config import values
from control_plane.config.document import DEEPEST
from control_plane.config.load import LARGEST_CONFIGURATION, LARGEST_REFERENCED_FILE
from control_plane.config.model import DEFAULT_BODY_LIMIT, Upstream
from control_plane.ir.checks.routes import RESERVED_PATHS
from control_plane.ir.routes import DEFAULT_TIMEOUT, IDLE_TIMEOUT, WEBSOCKET_IDLE_TIMEOUT
from control_plane.xds.listener.connection_manager import REQUEST_HEADERS_TIMEOUT, REQUEST_TIMEOUT
from scripts import reference
from service_kit.contract import LONGEST_LEEWAY

PAGE = reference.PAGE.read_text()
SECTIONS = reference.sections()


def numbers(phrase: str) -> tuple[str, ...]:
    """What stands in the groups of this phrase of the page."""
    found = re.search(phrase, " ".join(PAGE.split()))
    assert found is not None
    return found.groups()


def test_the_tables_are_current() -> None:
    assert reference.page(PAGE) == PAGE, "run `make gen`"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.model.__name__)
def test_every_key_is_explained_with_an_example(section: reference.Section) -> None:
    table = re.split(r"^(?:#|<)", PAGE.partition(f"### {section.heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [[cell.strip() for cell in row.split(" | ")] for row in re.findall(r"^\| (`.+) \|$", table, re.MULTILINE)]

    assert [row[0] for row in rows] == [f"`{key}`" for key in section.model.model_fields]
    assert [row for row in rows if len(row) != 6 or not all(row)] == []
    assert [row for row in rows if not row[-1].startswith("[")] == []


def test_every_case_that_is_linked_exists() -> None:
    linked = re.findall(r"\]\((\.\./tests/golden/[^)]+)\)", PAGE)

    assert linked
    assert [path for path in linked if not (reference.PAGE.parent / path).is_file()] == []


def test_every_anchor_is_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}

    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(SystemExit, match="lost a mark"):
        reference.page("# The configuration\n")


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        pytest.param(r"then the upstream's, then (\w+)", [DEFAULT_TIMEOUT], id="timeout"),
        pytest.param(
            r"Without it: (\w+) on a `websocket` route, else (\w+) or",
            [WEBSOCKET_IDLE_TIMEOUT, IDLE_TIMEOUT],
            id="idle",
        ),
        pytest.param(
            r"`connect_timeout` is the upstream's, (\w+)",
            [Upstream.model_fields["connect_timeout"].default],
            id="connect",
        ),
        pytest.param(
            r"A client has (\w+) for its headers and (\w+) for the rest",
            [REQUEST_HEADERS_TIMEOUT.total_seconds(), REQUEST_TIMEOUT.total_seconds()],
            id="client",
        ),
        pytest.param(
            r"From 1ms to (\w+); `leeway` from 0s to (\w+), `max_lifetime` from 1s to (\w+)",
            [values.LONGEST_DURATION, LONGEST_LEEWAY, values.LONGEST_LIFETIME],
            id="bounds",
        ),
    ],
)
def test_durations_are_those_of_the_code(phrase: str, expected: list[float]) -> None:
    assert [values.duration(text) for text in numbers(phrase)] == expected


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        pytest.param(
            r"request body, (\w+) where nothing is said, from (\w+) to (\w+);",
            [DEFAULT_BODY_LIMIT, values.SMALLEST_BODY_LIMIT, values.LARGEST_BODY_LIMIT],
            id="bodies",
        ),
        pytest.param(
            r"files of at most (\d+ MiB)\..* The configuration itself may have (\d+ MiB)",
            [LARGEST_REFERENCED_FILE, LARGEST_CONFIGURATION],
            id="files",
        ),
    ],
)
def test_sizes_are_those_of_the_code(phrase: str, expected: list[int]) -> None:
    assert [values.size(text.replace(" ", "")) for text in numbers(phrase)] == expected


def test_counts_and_paths_are_those_of_the_code() -> None:
    assert f"nesting deeper than {DEEPEST} levels" in PAGE
    assert " and ".join(f"`{path}`" for path in RESERVED_PATHS) in PAGE
