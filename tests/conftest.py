from collections.abc import Iterator

import pytest
import structlog


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files instead of comparing")
    parser.addoption("--edits", type=int, default=100, help="how many random edits a gateway under load is given")
    parser.addoption("--tries", type=int, default=4000, help="how many random requests a gateway under attack is sent")
    parser.addoption("--edits-seed", type=int, help="the edits of an earlier run, by the seed that it printed")


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A test that configures logging in this process does not decide what later tests may log."""
    yield
    structlog.reset_defaults()
