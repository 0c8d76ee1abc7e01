"""When a store is asked: the whole life of a breaker."""

from ratelimit_service.breaker import FEW, REST, STEADY, Breaker, State


def opened(now=0.0):
    breaker = Breaker()
    for _ in range(FEW):
        breaker.failed(now)
    return breaker


def test_failures_in_a_row_open_it_and_single_ones_do_not():
    breaker = Breaker()
    for _ in range(3 * FEW):
        breaker.failed(0.0)
        breaker.answered(0.0)
    assert breaker.state is State.UP

    for _ in range(FEW):
        assert breaker.admits(0.0)
        breaker.failed(0.0)

    assert breaker.state is State.OPEN
    assert not breaker.admits(REST - 0.01)


def test_after_a_rest_one_tries_at_a_time():
    breaker = opened()

    assert [breaker.admits(REST) for _ in range(3)] == [True, False, False]
    assert breaker.state is State.HALF_OPEN


def test_one_that_fails_lets_it_rest_again():
    breaker = opened()
    breaker.admits(REST)
    breaker.failed(REST + 0.2)

    assert breaker.state is State.OPEN
    assert not breaker.admits(2 * REST)
    assert breaker.admits(2 * REST + 0.2)


def test_some_in_a_row_that_were_answered_close_it():
    breaker = opened()
    for _ in range(STEADY):
        assert breaker.state is not State.UP
        assert breaker.admits(REST)
        breaker.answered(REST)

    assert breaker.state is State.UP


def test_a_try_that_never_comes_back_keeps_others_only_for_a_while():
    breaker = opened()
    breaker.admits(REST)

    assert not breaker.admits(2 * REST - 0.01)
    assert breaker.admits(2 * REST)


def test_an_answer_to_what_was_asked_before_it_opened_says_nothing():
    breaker = opened()
    for _ in range(STEADY):
        breaker.answered(0.1)

    assert breaker.state is State.OPEN
