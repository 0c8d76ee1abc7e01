"""How much is measured: kinds of load as data, each of them once a round for every variant."""

from dataclasses import dataclass, field

# Pieces of a streamed answer; as many words has a whole one.
CHUNKS = 200


@dataclass(frozen=True)
class Kind:
    """So many calls, so many at a time. Streams have `pause` milliseconds between two chunks, and begin spread out."""

    calls: int
    connections: int
    streamed: bool = field(default=True, kw_only=True)
    pause: int = 0

    @property
    def spread(self) -> float:
        """Seconds between the first calls of two connections."""
        return self.pause * CHUNKS / 1000 / self.connections


WHOLE, AT_ONCE, PACED, CALM = "whole", "at once", "paced", "calm"


@dataclass(frozen=True)
class Effort:
    """How often, and what in each round."""

    rounds: int
    warm_up: int
    whole: Kind
    at_once: Kind
    paced: Kind
    calm: Kind
    # Within so many seconds after a call it stands in the ledger, which is a part of what it costs.
    written_down: float = 1.2

    @property
    def kinds(self) -> dict[str, Kind]:
        """By the names that results have for them."""
        return {WHOLE: self.whole, AT_ONCE: self.at_once, PACED: self.paced, CALM: self.calm}


# Paced streams come as a model makes them, many at a time; LiteLLM then works as fast as it can, others do not. What
# callers wait is seen in calm, where nobody is busy.
USUAL = Effort(
    rounds=5, warm_up=16,
    whole=Kind(400, 8, streamed=False), at_once=Kind(64, 8), paced=Kind(128, 64, pause=5), calm=Kind(8, 2, pause=5),
)  # fmt: skip
QUICK = Effort(
    rounds=2, warm_up=8,
    whole=Kind(80, 8, streamed=False), at_once=Kind(16, 8), paced=Kind(24, 12, pause=5), calm=Kind(2, 2, pause=5),
)  # fmt: skip
