"""Calls whose tokens are counted."""

from dataclasses import dataclass
from enum import Enum


class Api(Enum):
    """Whose fields bodies have; the value is the word of the configuration."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    OLLAMA = "ollama"


@dataclass(frozen=True)
class Metering:
    """What is asked of a call's tokens; prices in pico-dollars each.

    `most` is what an answer may have, and what is asked for where the client names no number.
    """

    api: Api
    most: int
    input_price: int = 0
    output_price: int = 0
    # By which name the upstream takes the length of an answer; empty: by any that the client uses.
    upstream_takes: str = "max_tokens"
    # And by which where it takes either, and the client names none.
    unnamed_as: str = "max_tokens"
    # Whether a stream is asked to tell its usage.
    request_usage: bool = True
