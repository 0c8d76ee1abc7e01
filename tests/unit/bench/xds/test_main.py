import pytest

from bench.xds.effort import QUICK, USUAL
from bench.xds.main import effort, parsed


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        pytest.param([], USUAL, id="usual"),
        pytest.param(["--quick"], QUICK, id="quick"),
        pytest.param(["--clients", "3", "--cold", "2"], (3, 2), id="said otherwise"),
    ],
)
def test_effort(argv: list[str], expected: object):
    found = effort(parsed(argv))

    assert expected in (found, (found.clients, found.cold))
