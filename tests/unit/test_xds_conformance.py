"""The statements of the xDS protocol: each once, each with tests in its protocols, and the page about them true."""

import re
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.conformance.outcomes import Case, Outcomes, case_of, lacking, statements_of
from tests.conformance.page import FOLDERS, PAGE, ROOT, page
from tests.conformance.statements import CHAPTERS, DELTA, SOTW, STATEMENTS

MODES = [f"{protocol}-{streams}" for protocol in (SOTW, DELTA) for streams in ("ads", "separate")]


@pytest.fixture(scope="module")
def collected() -> Sequence[Case]:
    """Every test of the protocol that pytest finds."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *map(str, FOLDERS)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert output.returncode == 0, output.stdout + output.stderr
    return [case_of(line) for line in output.stdout.splitlines() if "::" in line]


def test_every_statement_stands_once_and_in_order() -> None:
    numbers = [statement.number for chapter in CHAPTERS for statement in chapter.statements]

    assert numbers == list(range(1, 76))


def test_every_statement_has_a_test_in_each_of_its_protocols(collected: Sequence[Case]) -> None:
    cases = statements_of(collected)

    assert {
        number: missing
        for number, statement in STATEMENTS.items()
        if (missing := lacking(statement, cases.get(number, [])))
    } == {}


def test_tests_name_statements_that_there_are(collected: Sequence[Case]) -> None:
    assert statements_of(collected).keys() <= STATEMENTS.keys()


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.conformance --page`"


def test_numbers_in_the_code_are_statements() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "control_plane/server").glob("*.py"))
    cited = {
        int(number)
        for numbers in re.findall(r"(?<=[ (])\[(\d+(?:, \d+)*)\]", sources)
        for number in numbers.split(", ")
    }

    assert cited
    assert cited <= STATEMENTS.keys()


def outcomes(*failed: Case, without: int = 0) -> Outcomes:
    """A run in which each statement has one test in each mode, but for one of them."""
    tests = (f"test_{number:02}_x" for number in STATEMENTS if number != without)
    return Outcomes({Case(test, mode) for test in tests for mode in MODES} - set(failed), set(failed))


def test_a_run_is_complete_when_everything_passed() -> None:
    assert outcomes().complete()


@pytest.mark.parametrize(
    "incomplete",
    [
        pytest.param(outcomes(Case("test_16_x", "delta-separate")), id="one-mode-failed"),
        pytest.param(outcomes(without=16), id="one-statement-has-no-test"),
        pytest.param(Outcomes({Case("test_16_x", "sotw-ads")}), id="one-protocol-has-no-test"),
    ],
)
def test_a_run_is_incomplete_while_something_is_missing(incomplete: Outcomes) -> None:
    assert not incomplete.complete()


def test_a_run_without_an_optional_statement_is_complete() -> None:
    assert outcomes(without=43).complete()


def test_the_table_has_each_statement_with_its_tests_and_result() -> None:
    table = "\n".join(outcomes(Case("test_16_x", "delta-separate"), without=17).table())

    assert re.search(r"^ 16  both   .*  FAILED$\n +test_16_x \[delta-ads, delta-separate FAILED, ", table, re.MULTILINE)
    assert re.search(r"^ 17  both   .*  not run$", table, re.MULTILINE)
    assert re.search(r"^ 42  both   .*  passed \(not offered", table, re.MULTILINE)
    assert table.endswith("75 statements: 73 passed, 1 FAILED, 1 not run")


@pytest.mark.parametrize(
    ("case", "number", "protocols"),
    [
        pytest.param("sotw-ads-Cluster", 16, [DELTA], id="the-mode-says-the-protocol"),
        pytest.param("", 72, [], id="a-client-of-one-protocol"),
        pytest.param("", 74, [SOTW, DELTA], id="a-test-that-does-not-say"),
    ],
)
def test_the_protocols_that_a_case_leaves_out(case: str, number: int, protocols: list[str]) -> None:
    assert list(lacking(STATEMENTS[number], [Case("test", case)])) == protocols
