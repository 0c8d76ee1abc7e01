"""What came of each statement in a run of the tests: the table of `make conformance`, and whether it is all there."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.conformance.modes import numbers_of
from tests.conformance.statements import STATEMENTS, Statement

PASSED: Final = "passed"
FAILED: Final = "FAILED"
NOT_RUN: Final = "not run"
WIDTH: Final = 100


@dataclass(frozen=True)
class Case:
    """A test as it is told apart: its name, and the case in brackets."""

    test: str
    case: str = ""

    def is_in(self, statement: Statement, protocol: str) -> bool:
        """Whether it shows the statement in this protocol: a test without a mode shows what has one protocol only."""
        named = [known for known in ("sotw", "delta") if known in self.case]
        return protocol in (named or (statement.protocols if len(statement.protocols) == 1 else ()))


def case_of(node_id: str) -> Case:
    name, _, case = node_id.rpartition("::")[2].partition("[")
    return Case(name, case.removesuffix("]"))


def statements_of(cases: Iterable[Case]) -> Mapping[int, list[Case]]:
    """The cases by the statements in their names."""
    found: dict[int, list[Case]] = defaultdict(list)
    for case in cases:
        for number in numbers_of(case.test):
            found[number].append(case)
    return found


def lacking(statement: Statement, cases: Iterable[Case]) -> tuple[str, ...]:
    """The protocols of the statement that none of these cases is in."""
    shown = tuple(cases)
    return tuple(each for each in statement.protocols if not any(case.is_in(statement, each) for case in shown))


@dataclass(eq=False)  # pytest keeps its plugins in sets
class Outcomes:
    """A plugin of pytest that remembers how each test went."""

    passed: set[Case] = field(default_factory=set)
    failed: set[Case] = field(default_factory=set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        case = case_of(report.nodeid)
        if report.failed or report.skipped:
            self.failed.add(case)
        elif report.when == "call":
            self.passed.add(case)

    def complete(self) -> bool:
        """Whether every mandatory statement was shown in all its protocols, and nothing failed."""
        return all(self.result(item) == PASSED for item in STATEMENTS.values() if item.mandatory)

    def result(self, statement: Statement) -> str:
        cases = statements_of(self.passed | self.failed).get(statement.number, [])
        if any(case in self.failed for case in cases):
            return FAILED
        if missing := lacking(statement, cases):
            return NOT_RUN if missing == statement.protocols else f"{NOT_RUN}: {', '.join(missing)}"
        return PASSED

    def table(self) -> Iterator[str]:
        """A line for each statement, and one for each of its tests."""
        cases = statements_of(self.passed | self.failed)
        for statement in STATEMENTS.values():
            yield _row(statement, self.result(statement))
            yield from self._tests(cases.get(statement.number, []))
        yield _summary([self.result(item) for item in STATEMENTS.values()])

    def _tests(self, cases: Iterable[Case]) -> Iterator[str]:
        by_name: dict[str, list[str]] = defaultdict(list)
        for case in sorted(cases, key=lambda case: (case.test, case.case)):
            by_name[case.test].append(f"{case.case}{' FAILED' if case in self.failed else ''}")
        for name, its_cases in by_name.items():
            yield f"     {name}{_in_brackets(its_cases)}"


def _row(statement: Statement, result: str) -> str:
    text = re.sub(r"`", "", statement.text)
    short = text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
    decided = f" ({statement.decision})" if statement.decision else ""
    if statement.decision:
        short = f"Optional: {short}"
    return f"{statement.number:>3}  {statement.protocol:<5}  {short:<{WIDTH}}  {result}{decided}"


def _in_brackets(cases: list[str]) -> str:
    """The cases; those of one mode that differ in more are counted."""
    modes: dict[str, int] = defaultdict(int)
    for case in cases:
        found = re.search(r"(sotw|delta)(-ads|-separate)?", case)
        label = found[0] if found else case
        modes[label + (" FAILED" if case.endswith(FAILED) else "")] += 1
    shown = ", ".join(f"{mode} x{count}" if count > 1 else mode for mode, count in modes.items() if mode or count > 1)
    return f" [{shown}]" if shown else ""


def _summary(results: list[str]) -> str:
    counted = {kind: sum(result.startswith(kind) for result in results) for kind in (PASSED, FAILED, NOT_RUN)}
    return f"{len(results)} statements: " + ", ".join(f"{count} {kind}" for kind, count in counted.items())
