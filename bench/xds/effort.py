"""How much is measured, and at which sizes."""

from dataclasses import dataclass, replace

from bench.xds.corpus import Shape

SMALL, MEDIUM, LARGE = Shape(10, 1), Shape(1_000, 10), Shape(10_000, 100)
ENDURED = Shape(100, 10)


@dataclass(frozen=True)
class Effort:
    """Counts; `budget` bounds the bytes that an edit of a route may push to all clients, and so how many there are.

    Memory is looked at over `endured` edits of a configuration of its own, which end after `endured_seconds` anyway.
    """

    cold: int
    edits: int
    clients: int
    fanned: int
    budget: int
    endured: int
    endured_seconds: int
    shapes: tuple[Shape, ...] = (SMALL, MEDIUM, LARGE)
    endured_shape: Shape = ENDURED

    @property
    def spread_shapes(self) -> tuple[Shape, ...]:
        """The shapes whose edits go to many clients."""
        return (*self.shapes, replace(self.shapes[-1], hosts=True))

    @property
    def endured_every(self) -> int:
        """Edits from one look at the memory to the next."""
        return max(1, self.endured // 10)


USUAL = Effort(
    cold=3, edits=40, clients=1_000, fanned=3, budget=800 << 20, endured=10_000, endured_seconds=300
)  # fmt: skip
QUICK = Effort(
    cold=1, edits=3, clients=100, fanned=1, budget=100 << 20, endured=200, endured_seconds=20, shapes=(LARGE,)
)  # fmt: skip
