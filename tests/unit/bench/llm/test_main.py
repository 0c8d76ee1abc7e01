from pathlib import Path

import pytest

from bench.llm.effort import QUICK, USUAL
from bench.llm.main import FIGURES, MEMORY_FIGURES, chosen, parsed
from bench.llm.variants import VARIANTS


def test_a_look_is_smaller_than_a_run():
    assert parsed(["--quick"]).quick
    assert QUICK.rounds < USUAL.rounds
    assert all(kind.calls < USUAL.kinds[name].calls for name, kind in QUICK.kinds.items())


def test_variants_can_be_left_out():
    left = chosen(parsed(["--without", "litellm", "translated"]))

    assert [variant.name for variant in VARIANTS if variant not in left] == ["translated", "litellm"]
    assert chosen(parsed([])) == list(VARIANTS)


@pytest.mark.parametrize(
    ("argv", "figures"),
    [
        pytest.param([], FIGURES, id="costs"),
        pytest.param(["--streams", "100"], MEMORY_FIGURES, id="memory"),
        pytest.param(["--streams", "100", "--json", "here"], Path("here"), id="said otherwise"),
    ],
)
def test_where_figures_go(argv: list[str], figures: Path):
    assert parsed(argv).json == figures


@pytest.mark.parametrize("argv", [["--streams", "9"], ["--without", "nobody"]])
def test_what_cannot_be_is_a_mistake(argv: list[str]):
    with pytest.raises(SystemExit):
        parsed(argv)
