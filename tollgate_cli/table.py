"""Columns for people: rows as wide as they must be, and moments as they are read."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from service_kit.contract import MISSING
from tollgate_cli.connection import printable

GAP = "  "
UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """The rows as lines, each column as wide as its widest cell; an empty cell shows as `-`."""
    cells = [[printable(cell) or MISSING for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def moment(at: float) -> str:
    """UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def age(at: float, now: float) -> str:
    """How long ago, in its largest unit."""
    seconds = max(0, int(now - at))
    size, unit = next(((size, unit) for size, unit in UNITS if seconds >= size), UNITS[-1])
    return f"{seconds // size}{unit} ago"
