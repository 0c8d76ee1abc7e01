"""What a call that costs tokens is held for and charged: one arithmetic for counters and ledger, in whole numbers.

Rules: CONTRACTS 4 of the design. A hold is never less than the call can come to cost; a charge is what the upstream
reported, else an estimate from what passed, which says that it is one.
"""

from dataclasses import dataclass
from typing import Final

# Estimates only: a token of English is about four bytes of text, and of JSON that carries it far less than one token.
BYTES_A_TOKEN: Final = 4
PICO_IN_NANO: Final = 1000
NANO_IN_DOLLAR: Final = 1_000_000_000
FIRST_ERROR: Final = 400


@dataclass(frozen=True)
class Tokens:
    """Tokens read and written by a model."""

    input: int
    output: int

    @property
    def total(self) -> int:
        return self.input + self.output


@dataclass(frozen=True)
class Prices:
    """Pico-dollars (1e-12 USD) a token."""

    input: int = 0
    output: int = 0

    def nano_dollars(self, tokens: Tokens) -> int:
        """What so many tokens cost, rounded up."""
        return -(-(tokens.input * self.input + tokens.output * self.output) // PICO_IN_NANO)


@dataclass(frozen=True)
class Passed:
    """What a stream's end tells: what the upstream reported (0: nothing), bytes each way, the status, how often an
    upstream was asked, and the tokens of a stream that were seen to pass (0: nobody looked, or it was no stream).
    """

    input: int
    output: int
    total: int
    received: int
    sent: int
    status: int
    attempts: int
    pieces: int = 0


@dataclass(frozen=True)
class Charge:
    """What a call came to; `estimated` where nothing was reported, or not how long the answer is."""

    tokens: Tokens
    estimated: bool


def dollars(nano: int) -> str:
    """Nano-dollars as people read them: at least to the cent, and whatever is beyond it."""
    whole, rest = divmod(nano, NANO_IN_DOLLAR)
    digits = f"{rest:09d}"
    return f"{whole}.{digits[:2]}{digits[2:].rstrip('0')}"


def held(*, output: int, answers: int, received: int) -> Tokens:
    """The most a call can cost: so many answers of `output` tokens, and a prompt of at most a token a byte."""
    return Tokens(received, max(1, answers) * output)


def charge(passed: Passed, hold: Tokens) -> Charge:
    """What a call that was admitted is charged.

    Without a report an error costs nothing, nor does a call of which no upstream heard. One that was cut off is charged
    for its prompt, on which the upstream worked, and for what was sent: tokens as they were seen to pass, else by the
    bytes; never more than was held for it. A report that leaves the answer out is one on the prompt alone.
    """
    told, served = _reported(passed), passed.status < FIRST_ERROR and passed.attempts > 0
    if not told.total:
        found = Tokens(_estimate(passed.received, hold.input), _seen(passed, hold)) if served else told
        return Charge(found, estimated=served)
    # A total of no more than the prompt says that there is no answer.
    if told.output or passed.total == told.input or not served:
        return Charge(told, estimated=False)
    seen = _seen(passed, hold)
    return Charge(Tokens(told.input, seen), estimated=seen > 0)


def _reported(passed: Passed) -> Tokens:
    """The parts, and what a total says beyond them as output, which is the dearer."""
    return Tokens(passed.input, passed.output + max(0, passed.total - passed.input - passed.output))


def _seen(passed: Passed, hold: Tokens) -> int:
    """The length of an answer that nobody told."""
    return min(passed.pieces, hold.output) or _estimate(passed.sent, hold.output)


def _estimate(size: int, most: int) -> int:
    return min(most, -(-size // BYTES_A_TOKEN))
