"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Counts. In each round every variant gets `busy` calls as fast as they are answered, and `paced` at a rate."""

    rounds: int
    warm_up: int
    busy: int
    # Calls under way while it is busy.
    in_flight: int
    paced: int
    # Calls a second.
    rate: float
    keys: int
    # Of windows whose every part holds a count: they take so many takes each.
    full_keys: int
    callers: tuple[int, ...]
    # Seconds of sustained load.
    sustained: float


USUAL = Effort(
    rounds=9, warm_up=400, busy=1600, in_flight=32, paced=200, rate=250.0, keys=100_000, full_keys=5_000,
    callers=(1, 100, 1000), sustained=28.0,
)  # fmt: skip
QUICK = Effort(
    rounds=2, warm_up=200, busy=400, in_flight=32, paced=50, rate=250.0, keys=2_000, full_keys=200,
    callers=(1, 100), sustained=13.0,
)  # fmt: skip
