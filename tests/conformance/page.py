"""docs/xds-conformance.md, made from the statements and the names of their tests."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.conformance.modes import numbers_of
from tests.conformance.statements import CHAPTERS, STATEMENTS, Statement

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "xds-conformance.md"
FOLDERS: Final = (ROOT / "tests" / "conformance", ROOT / "tests" / "clients")
HEAD: Final = """# What the xDS server does of the protocol

Statements that a server of this protocol can be tested by. `make conformance` tests them and prints how each fared; a
test that fails, or a statement without one, is an error. Numbers in brackets in
[control_plane/server](../control_plane/server/) are theirs. "SotW" is the state-of-the-world protocol. SPEC is Envoy's
[xDS protocol](https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol); A and a number is a
[gRPC proposal](https://github.com/grpc/proposal).

Most tests are raw gRPC streams against the real server, in [tests/conformance](../tests/conformance/): in each protocol
of the statement, over ADS and over a stream for each type. Those in [tests/clients](../tests/clients/) are the real
Envoy, in both protocols and both kinds of stream, and gRPC's own `xds:///` client.

{count} statements; {optional} are optional, and the table says what we made of them.
<!-- Made by `python -m tests.conformance --page` from tests/conformance/statements.py and the names of the tests. -->
"""


def page() -> str:
    """The whole page."""
    tests = named_tests()
    optional = sum(not statement.mandatory for statement in STATEMENTS.values())
    lines = [HEAD.format(count=len(STATEMENTS), optional=optional)]
    for chapter in CHAPTERS:
        lines += [f"## {chapter.title}", "", "| # | protocol | statement | from | tests |", "|---|---|---|---|---|"]
        lines += [_row(statement, tests.get(statement.number, [])) for statement in chapter.statements]
        lines.append("")
    return "\n".join(lines)


def named_tests() -> Mapping[int, list[str]]:
    """The names of the tests of each statement, in order."""
    found: dict[int, set[str]] = defaultdict(set)
    for name in _functions():
        for number in numbers_of(name):
            found[number].add(name)
    return {number: sorted(names) for number, names in found.items()}


def _functions() -> Iterator[str]:
    for folder in FOLDERS:
        for file in folder.glob("test_*.py"):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield node.name


def _row(statement: Statement, tests: list[str]) -> str:
    text = statement.text + (f" {statement.note}" if statement.note else "")
    if statement.decision:
        text = f"Optional: {text[0].lower()}{text[1:]} {statement.decision[0].upper()}{statement.decision[1:]}."
    named = ", ".join(f"`{name}`" for name in tests)
    return f"| {statement.number} | {statement.protocol} | {text} | {statement.source} | {named} |"
