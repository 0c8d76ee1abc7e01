"""What a call takes from each kind of counter: calls, tokens, money; at most while it runs, and in the end."""

from dataclasses import dataclass

from ratelimit_service.descriptors import LARGEST_NUMBER, Ask, End
from ratelimit_service.policy import CONCURRENT, RuleSet
from ratelimit_service.policy_faults import MOST
from service_kit import metering
from service_kit.contract import (
    NUMBER_ANSWERS,
    NUMBER_ATTEMPTS,
    NUMBER_HELD,
    NUMBER_PIECES,
    NUMBER_RECEIVED,
    NUMBER_SENT,
    NUMBER_STATUS,
    NUMBERS_ASKED,
    NUMBERS_OUTPUT,
    NUMBERS_USED,
    USAGE_TOKENS,
    USAGE_USD,
)
from service_kit.metering import Prices, Tokens

# Kinds of claims that are corrected when the call ends.
HELD = frozenset({USAGE_TOKENS, USAGE_USD, CONCURRENT})
NO_TOKENS = Tokens(0, 0)
FREE = Prices()


@dataclass(frozen=True)
class Cost:
    """What a call counts as; `tokens` and money are the most that it can come to."""

    hits: int
    answers: int = 1
    tokens: Tokens = NO_TOKENS
    prices: Prices = FREE

    @property
    def nano_dollars(self) -> int:
        return self.prices.nano_dollars(self.tokens)

    def amount(self, usage: str) -> int:
        """What it takes from a counter of this usage."""
        if usage == USAGE_TOKENS:
            return self.tokens.total
        if usage == USAGE_USD:
            return self.nano_dollars
        return 1 if usage == CONCURRENT else self.hits

    def affordable_output(self, usage: str, most: int) -> int:
        """The longest answer, in tokens, with which the call would take no more than `most`; below 0: none at all."""
        if usage == USAGE_TOKENS:
            return (most - self.tokens.input) // self.answers
        left = most * metering.PICO_IN_NANO - self.tokens.input * self.prices.input
        return left // (self.answers * self.prices.output) if self.prices.output else -1


@dataclass(frozen=True)
class Missing:
    """Numbers without which a call's cost cannot be known; Envoy drops those that are negative or too large."""

    names: tuple[str, ...]


def held(ask: Ask, of_route: RuleSet) -> Cost | Missing:
    """What a call may come to cost."""
    if of_route.prices is None:
        return Cost(ask.hits)
    numbers = ask.numbers
    if missing := tuple(name for name in NUMBERS_ASKED if name not in numbers):
        return Missing(missing)
    tokens = metering.held(
        output=max(numbers[name] for name in NUMBERS_OUTPUT),
        answers=numbers[NUMBER_ANSWERS],
        received=numbers[NUMBER_RECEIVED],
    )
    return Cost(ask.hits, max(1, numbers[NUMBER_ANSWERS]), tokens, of_route.prices)


@dataclass(frozen=True)
class Charges:
    """What a call came to. A kind of which nothing is known stays charged as it was held."""

    tokens: Tokens | None = None
    prices: Prices = FREE
    estimated: bool = False
    # Tokens beyond what was held.
    beyond: int = 0

    def amount(self, usage: str) -> int | None:
        """What a counter of this usage is charged in the end."""
        if usage == CONCURRENT:
            return 0
        if self.tokens is None:
            return None
        if usage == USAGE_TOKENS:
            return min(self.tokens.total, MOST)
        return min(self.prices.nano_dollars(self.tokens), MOST)


def charged(end: End, prices: Prices | None) -> Charges:
    """What a call came to."""
    numbers = end.numbers
    if prices is None or not numbers:
        return Charges()
    input_, output, total = (numbers.get(name, 0) for name in NUMBERS_USED[:3])
    received, sent = (numbers.get(name, LARGEST_NUMBER) for name in (NUMBER_RECEIVED, NUMBER_SENT))
    held_tokens = Tokens(received, numbers.get(NUMBER_HELD, MOST))
    status, attempts = numbers[NUMBER_STATUS], numbers.get(NUMBER_ATTEMPTS, 0)
    pieces = numbers.get(NUMBER_PIECES, 0)
    passed = metering.Passed(input_, output, total, received, sent, status, attempts, pieces)
    charge = metering.charge(passed, held_tokens)
    beyond = max(0, charge.tokens.total - held_tokens.total)
    return Charges(charge.tokens, prices, charge.estimated, beyond)
