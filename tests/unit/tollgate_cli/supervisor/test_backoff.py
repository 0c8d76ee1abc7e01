from itertools import islice

import pytest

from tollgate_cli.supervisor.backoff import HEALTHY_AFTER, Backoff


def delays():
    backoff = Backoff()
    while True:
        yield pytest.approx(backoff.delay)
        backoff = backoff.doubled()


def test_the_delay_doubles_up_to_five_seconds():
    assert list(islice(delays(), 8)) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


@pytest.mark.parametrize(
    ("alive", "expected"),
    [pytest.param(HEALTHY_AFTER - 0.1, 3.0, id="early exit"), pytest.param(HEALTHY_AFTER, 0.1, id="it was well")],
)
def test_a_process_that_was_well_starts_over(alive, expected):
    assert Backoff(3.0).after_exit(alive).delay == expected
