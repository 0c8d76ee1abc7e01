"""Calls whose tokens are counted: which fields of a body ask for how many, and what each costs.

A metered route takes one path, since what a field means depends on it: a list of prompts, for one, is as many answers.
"""

from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from control_plane.config.model.base import Model
from control_plane.config.values.base import Mistake
from control_plane.config.values.quantities import Between

Api = Literal["chat", "completions", "embeddings", "ollama"]
# What paths end with, by the API that is met there; the first that fits.
API_PATHS: Final[tuple[tuple[str, Api], ...]] = (
    ("/chat/completions", "chat"),
    ("/completions", "completions"),
    ("/embeddings", "embeddings"),
    ("/api/chat", "ollama"),
    ("/api/generate", "ollama"),
)
MOST_TOKENS: Final = 1_000_000
# Dollars for a million tokens: what a call may come to stays far below what counters hold exactly.
HIGHEST_PRICE: Final = 1000
FINEST_PRICE: Final = Decimal("0.000001")
UNITS_OF_TOKENS: Final = {"1K": 1000, "1M": 1_000_000}
# The smallest part of a dollar that prices are kept in.
PARTS_OF_A_DOLLAR: Final = 10**12


def _dollars(value: float) -> float:
    # As it is written: 0.1 is meant, and not the binary fraction next to it.
    if Decimal(repr(value)) % FINEST_PRICE:
        raise Mistake("is finer than prices are kept", "write at most six digits behind the point", value=f"{value}")
    return value


Dollars = Annotated[float, Between(0, HIGHEST_PRICE, "USD"), AfterValidator(_dollars)]


class Price(Model):
    """US dollars for so many tokens."""

    input: Dollars = Field(description="for tokens of the prompt")
    output: Dollars = Field(0.0, description="for tokens of the answer")
    unit: Literal["1K", "1M"] = Field("1M", description="how many tokens this buys")

    @model_validator(mode="after")
    def _payable(self) -> Self:
        highest = HIGHEST_PRICE * UNITS_OF_TOKENS[self.unit] // UNITS_OF_TOKENS["1M"]
        for key in ("input", "output"):
            if (dollars := getattr(self, key)) > highest:
                raise Mistake("is out of range", f"write a number from 0 to {highest}", value=f"{dollars:g}", at=(key,))
        return self


class Metering(Model):
    """Counts tokens: what a call may come to is held when it begins, and corrected when its stream ends."""

    most: Annotated[int, Between(1, MOST_TOKENS)] = Field(
        4096,
        description="tokens an answer may have: what the gateway asks for where a client names no number; 400 above",
    )
    price: Price | None = Field(None, description="what they cost; without it, nothing")
    api: Api | None = Field(
        None,
        description="whose fields bodies have: OpenAI's `chat`, `completions`, `embeddings`, or `ollama`; else by the "
        "end of the path",
    )
    upstream_takes: Literal["max_tokens", "max_completion_tokens", "either"] = Field(
        "max_tokens",
        description="by which name the upstream of `chat` or `completions` takes the number; it always stands there. "
        "`either` only where it obeys both: the client's name stays",
    )
    request_usage: bool = Field(
        default=True, description="whether streams of `chat` and `completions` are asked to tell their usage"
    )
