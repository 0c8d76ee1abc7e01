"""What was to be reached with 10,000 routes, or with the most that a run has, beside what it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.xds.results import Results, Spread

MANY = 10_000
FLAT = 1.1


@dataclass(frozen=True)
class Goal:
    """A limit, and what was measured."""

    what: str
    limit: float
    measured: float
    unit: str = "s"

    @property
    def met(self) -> bool:
        return self.measured < self.limit


def goals(results: Results) -> Iterator[Goal]:
    """In the order of the tables."""
    largest = max(results.effort.shapes, key=lambda shape: shape.routes)
    cold = next(item for item in results.cold if item.shape == largest)
    edited = next(item for item in results.edited if item.shape == largest)
    yield Goal(f"cold compile of {largest}", 5.0, median(cold.compiled))
    yield Goal(f"an edit of one route of {largest} to Envoy's ACK", 1.0, median(item.total for item in edited.seen))
    for shape in results.effort.spread_shapes:
        yield _slowest(
            [item for item in results.spread if item.shape == shape and item.clients == results.effort.clients]
        )
    endured = results.endured
    if results.effort.endured >= MANY:  # before that it is not steady
        yield Goal(f"memory after {endured.edits:,} edits", FLAT, endured.rss[-1] / endured.steady, "x")


def _slowest(rows: Sequence[Spread]) -> Goal:
    took, item = max(((median(seen.total for seen in item.seen), item) for item in rows), key=lambda row: row[0])
    what = f"an edit of one {item.kind.value} of {item.shape} to {item.clients:,} clients, {item.protocol}: the slowest"
    return Goal(what, 2.0, took)
