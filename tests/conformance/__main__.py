"""`make conformance`: tests every statement and prints the table; `--page` writes docs/xds-conformance.md instead."""

import sys

import pytest

from tests.conformance.outcomes import Outcomes
from tests.conformance.page import FOLDERS, PAGE, page


def main(arguments: list[str]) -> int:
    if arguments == ["--page"]:
        PAGE.write_text(page())
        return 0
    outcomes = Outcomes()
    code = pytest.main([*map(str, FOLDERS), "-q", "--no-header", "--tb=short", *arguments], plugins=[outcomes])
    print("", *outcomes.table(), sep="\n")
    return 0 if code == pytest.ExitCode.OK and outcomes.complete() else 1


sys.exit(main(sys.argv[1:]))
