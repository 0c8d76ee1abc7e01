"""Arithmetic of figures: percentiles of a round, medians and spreads of rounds, ratios within rounds."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """The median of several rounds, with the least and the most of them."""

    median: float
    low: float
    high: float


def figure(values: Iterable[float]) -> Figure:
    found = tuple(values)
    return Figure(statistics.median(found), min(found), max(found))


def ratio(values: Iterable[float], baseline: Iterable[float]) -> Figure:
    """Each round is compared with the baseline's load in the same round: what drifts between rounds cancels."""
    return figure(value / base for value, base in zip(values, baseline, strict=True))


def percentile(values: Sequence[float], rank: int) -> float:
    """The least value that `rank` percent of all do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * rank / 100) - 1)]
