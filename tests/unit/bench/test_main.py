import pytest

from bench.main import effort, parsed
from bench.suite import QUICK, USUAL


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        pytest.param([], USUAL, id="usual"),
        pytest.param(["gateway", "--quick"], QUICK, id="quick"),
        pytest.param(["--rounds", "3", "--rate", "50.5"], (3, 50.5), id="said otherwise"),
        pytest.param(["--quick", "--warm-up", "0"], 0, id="nothing is something said"),
    ],
)
def test_effort(argv: list[str], expected: object):
    found = effort(parsed(argv))

    assert expected in (found, (found.rounds, found.rate), found.warm_up)
