"""docs/security-acceptance.md, made from the list, and what the list is held to."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from tests.security.acceptance import CHAPTERS, Item

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "security-acceptance.md"
HEAD: Final = """# Attacks, and the tests that try them

Each line is something that went wrong somewhere, or must not go wrong here, with the tests that show it; those in
[tests/security](../tests/security/) attack the whole gateway, most of them through the real Envoy, and where tokens are
judged both by the authorizer and by Envoy. `make attack` tries 100,000 random requests at a gateway of each kind and
prints the counts; `make test` a few thousand. Numbers are those by which our tests and issues name the lines.
<!-- Made by `python -m tests.security` from tests/security/acceptance.py. -->
"""


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for chapter in CHAPTERS:
        lines += [f"## {chapter.title}", "", "| | what | tests |", "|---|---|---|"]
        lines += [f"| {item.name} | {item.text} | {_tests(item)} |" for item in chapter.items]
        lines.append("")
    return "\n".join(lines)


def _tests(item: Item) -> str:
    return item.none or ", ".join(f"[{_name(test)}](../tests/{test.partition('::')[0]})" for test in item.tests)


def _name(test: str) -> str:
    return test.partition("::")[2].removeprefix("test_").replace("_", " ")


def missing() -> Iterator[str]:
    """Tests that are named and are not there."""
    for item in (item for chapter in CHAPTERS for item in chapter.items):
        for test in item.tests:
            file, _, function = test.partition("::")
            if function not in _functions(ROOT / "tests" / file):
                yield f"{item.name}: {test}"


@cache
def _functions(file: Path) -> frozenset[str]:
    """Names of the tests of a file, those of its classes too."""
    if not file.is_file():
        return frozenset()
    nodes = ast.walk(ast.parse(file.read_text()))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
