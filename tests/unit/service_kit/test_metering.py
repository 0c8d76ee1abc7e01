"""What calls are held for and charged, to the token and to the nano-dollar."""

import pytest

from service_kit.metering import Charge, Passed, Prices, Tokens, charge, dollars, held

HELD = Tokens(1000, 500)
NOTHING = Charge(Tokens(0, 0), estimated=False)


@pytest.mark.parametrize(
    ("output", "answers", "received", "tokens"),
    [
        pytest.param(100, 1, 40, Tokens(40, 100), id="one-answer"),
        pytest.param(100, 3, 40, Tokens(40, 300), id="each-answer"),
        pytest.param(100, 0, 40, Tokens(40, 100), id="answers-that-nobody-named"),
    ],
)
def test_a_call_is_held_for_all_that_it_can_come_to(output, answers, received, tokens):
    assert held(output=output, answers=answers, received=received) == tokens


@pytest.mark.parametrize(
    ("tokens", "nano"),
    [
        pytest.param(Tokens(1000, 0), 100, id="input"),
        pytest.param(Tokens(1000, 1000), 400, id="both"),
        pytest.param(Tokens(1001, 0), 101, id="rounded-up"),
        pytest.param(Tokens(0, 0), 0, id="nothing"),
    ],
)
def test_a_price_is_rounded_up_once(tokens, nano):
    assert Prices(input=100, output=300).nano_dollars(tokens) == nano


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        pytest.param(Passed(9, 5, 14, 40, 800, 200, 1), Charge(Tokens(9, 5), estimated=False), id="reported"),
        pytest.param(Passed(9, 5, 20, 40, 800, 200, 1), Charge(Tokens(9, 11), estimated=False), id="more-in-all"),
        pytest.param(Passed(9, 5, 2, 40, 800, 200, 1), Charge(Tokens(9, 5), estimated=False), id="less-in-all"),
        pytest.param(Passed(0, 0, 7, 40, 800, 200, 1), Charge(Tokens(0, 7), estimated=False), id="in-all-alone"),
        pytest.param(
            Passed(9, 0, 0, 40, 800, 500, 1), Charge(Tokens(9, 0), estimated=False), id="an-error-that-reports"
        ),
        pytest.param(Passed(0, 0, 0, 40, 800, 400, 1), NOTHING, id="an-error"),
        pytest.param(Passed(0, 0, 0, 40, 0, 0, 1), Charge(Tokens(10, 0), estimated=True), id="nothing-sent"),
        pytest.param(Passed(0, 0, 0, 40, 800, 200, 0), NOTHING, id="no-upstream-asked"),
        pytest.param(Passed(0, 0, 0, 40, 800, 200, 3), Charge(Tokens(10, 200), estimated=True), id="asked-again"),
        pytest.param(Passed(0, 0, 0, 41, 801, 399, 1), Charge(Tokens(11, 201), estimated=True), id="estimated-up"),
        pytest.param(Passed(0, 0, 0, 9000, 9000, 200, 1), Charge(HELD, estimated=True), id="never-more-than-held"),
        pytest.param(Passed(0, 0, 0, 40, 9000, 200, 1, 31), Charge(Tokens(10, 31), estimated=True), id="seen-to-pass"),
        pytest.param(
            Passed(0, 0, 0, 9000, 9000, 200, 1, 9000), Charge(HELD, estimated=True), id="seen-to-pass-more-than-held"
        ),
        pytest.param(Passed(9, 5, 14, 40, 800, 200, 1, 31), Charge(Tokens(9, 5), estimated=False), id="reported-too"),
        pytest.param(
            Passed(9, 0, 0, 40, 800, 200, 1, 31), Charge(Tokens(9, 31), estimated=True), id="no-length-of-a-stream"
        ),
        pytest.param(Passed(9, 0, 0, 40, 800, 200, 1), Charge(Tokens(9, 200), estimated=True), id="no-length"),
        pytest.param(Passed(9, 0, 4, 40, 800, 200, 1), Charge(Tokens(9, 200), estimated=True), id="nonsense-in-all"),
        pytest.param(
            Passed(9, 0, 0, 40, 9000, 200, 1, 9000), Charge(Tokens(9, 500), estimated=True), id="no-length-but-a-bound"
        ),
        pytest.param(Passed(9, 0, 9, 40, 800, 200, 1), Charge(Tokens(9, 0), estimated=False), id="no-answer-as-told"),
        pytest.param(Passed(9, 0, 0, 40, 0, 200, 1), Charge(Tokens(9, 0), estimated=False), id="no-answer-sent"),
    ],
)
def test_what_a_call_is_charged(passed, expected):
    assert charge(passed, HELD) == expected


def test_an_embedding_has_a_prompt_alone():
    """However much is sent: nothing was held for words."""
    passed = Passed(9, 0, 0, 40, 90_000, 200, 1)

    assert charge(passed, Tokens(1000, 0)) == Charge(Tokens(9, 0), estimated=False)


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "0.00"), (10_000_000, "0.01"), (1_500_000_000, "1.50"), (1, "0.000000001"), (12_345_600_000, "12.3456")],
)
def test_dollars_are_exact_and_have_cents(nano, text):
    assert dollars(nano) == text
