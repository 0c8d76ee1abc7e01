"""docs/xds-conformance.md: every statement once, and tests that there are."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/xds-conformance.md").read_text()
ROWS = re.findall(r"^\| (\d+) \|.* \| (tested|implemented|not yet)(?:: (.+))? \|$", PAGE, re.MULTILINE)
STATEMENTS = range(1, 76)


@pytest.fixture(scope="module")
def tests() -> dict[str, str]:
    """The source of every test file, by each of its tests."""
    sources = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    return {
        node.name: source
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_statement_stands_once_with_its_state() -> None:
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == [str(number) for number in STATEMENTS]
    assert len(ROWS) == len(STATEMENTS)


def test_every_test_that_is_named_exists(tests: dict[str, str]) -> None:
    named = re.findall(r"`(test_\w+)(?:\[([^\]]+)\])?`", PAGE)

    assert named
    assert [name for name, _ in named if name not in tests] == []
    assert [(name, case) for name, case in named if case and f'id="{case}"' not in tests[name]] == []


def test_what_is_tested_names_a_test() -> None:
    assert [number for number, state, note in ROWS if state == "tested" and not note.startswith("`test_")] == []


@pytest.mark.parametrize("state", ["tested", "implemented", "not yet"])
def test_the_states_are_counted(state: str) -> None:
    said = re.search(rf"- \*\*{state}\*\*:.* There are (\d+)", PAGE)

    assert said is not None
    assert int(said[1]) == len([row for row in ROWS if row[1] == state])


def test_numbers_in_the_code_are_statements() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "control_plane/server").glob("*.py"))
    cited = {int(number) for numbers in re.findall(r"\[(\d+(?:, \d+)*)\]", sources) for number in numbers.split(", ")}

    assert cited
    assert cited <= set(STATEMENTS)
