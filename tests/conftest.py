import gc
from collections.abc import Iterator

import pytest
import structlog

# Folders of files that take long, longest first: with several workers none is begun when the others have nothing left.
LONG = ("e2e", "security", "clients", "contract", "conformance", "feature")

# What is collected lives as long as the process; to look through it again and again is a quarter of the time it takes.
gc.disable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files instead of comparing")
    parser.addoption("--edits", type=int, default=100, help="how many random edits a gateway under load is given")
    parser.addoption("--tries", type=int, default=4000, help="how many random requests a gateway under attack is sent")
    parser.addoption("--edits-seed", type=int, help="the edits of an earlier run, by the seed that it printed")
    parser.addoption("--kills", type=int, default=100, help="how many processes of a gateway under load are killed")
    parser.addoption("--kill-seconds", type=float, default=900, help="seconds after which no more are killed")
    parser.addoption("--kills-seed", type=int, help="the moments of kills; they fall differently all the same")
    parser.addoption("--rows", type=int, default=10_000_000, help="how many rows a ledger has that reports are made of")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """After they were shuffled; within a folder they stay so. `make test` keeps the order of the files."""
    items.sort(key=lambda item: _place(item.path.relative_to(config.rootpath / "tests").parts[0]))


def _place(folder: str) -> int:
    return LONG.index(folder) if folder in LONG else len(LONG)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A test that configures logging in this process does not decide what later tests may log."""
    yield
    structlog.reset_defaults()
