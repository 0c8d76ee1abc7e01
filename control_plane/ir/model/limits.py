"""How often: limits, and the plans that hold them."""

from dataclasses import dataclass
from enum import Enum


class Dimension(Enum):
    """What a limit counts apart; the value is the word of the configuration."""

    SUBJECT = "subject"
    TENANT = "tenant"
    CONSUMER = "consumer"
    IP = "ip"
    ROUTE = "route"


@dataclass(frozen=True)
class Limit:
    """Never more than `requests` in any `period` seconds, for each value of the dimensions.

    A local one is a token bucket of each Envoy: `requests` at once, and as many more spread over the period.
    """

    id: str
    requests: int
    period: int
    per: tuple[Dimension, ...]
    local: bool = False


@dataclass(frozen=True)
class Plan:
    """A class of consumers and its limits."""

    name: str
    limits: tuple[Limit, ...]
