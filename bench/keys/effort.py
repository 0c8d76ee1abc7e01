"""How much is measured, and with how many keys."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Counts. `starts` are new processes; each `lookup` is a whole decision of the authorizer."""

    starts: int
    changes: int
    lookups: int
    services: int
    sizes: tuple[int, ...]


USUAL = Effort(starts=3, changes=300, lookups=20_000, services=3, sizes=(1_000, 100_000))
QUICK = Effort(starts=1, changes=20, lookups=2_000, services=2, sizes=(100, 2_000))
