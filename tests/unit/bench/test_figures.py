import pytest

from bench.figures import Figure, figure, percentile, ratio


@pytest.mark.parametrize(("rank", "expected"), [(50, 50), (90, 90), (99, 99), (100, 100), (1, 1)])
def test_percentiles_are_values_that_occurred(rank: int, expected: float):
    assert percentile(list(range(100, 0, -1)), rank) == expected


def test_the_percentile_of_one_value_is_that_value():
    assert percentile([7.0], 99) == 7.0


def test_a_figure_has_its_spread():
    assert figure([3.0, 1.0, 2.0]) == Figure(2.0, 1.0, 3.0)


def test_a_drift_of_the_machine_leaves_ratios_alone():
    assert ratio([20.0, 40.0, 60.0], [10.0, 20.0, 30.0]) == Figure(2.0, 2.0, 2.0)
