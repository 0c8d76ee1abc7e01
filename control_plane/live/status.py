"""What is live, how it came to be, and what is told of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from control_plane.certificates import Expiry
from control_plane.gate.candidate import Candidate, HeldBack
from control_plane.gate.gate import HeldBackGauge
from control_plane.history.entries import Pin, Result
from control_plane.history.record import NodeSays
from control_plane.publication.outcome import Outcome
from control_plane.snapshot import Release

# Seconds.
COMPILE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class EndpointsMoved:
    """Endpoints that others tell are not where they were."""


@dataclass(frozen=True)
class KeySetsChanged:
    """An issuer publishes other keys than before."""


@dataclass(frozen=True)
class ModelsChanged:
    """An upstream lists other models than before, or does not answer any more, or again."""


class Origin(Enum):
    """What was to go live when something was wrong: each is mended by the next of its own that is good."""

    FILE = "file"
    KEY_SETS = "key sets"
    MODELS = "models"


# What has changed of what others publish, and what a configuration with it came from.
ORIGINS: Final[Mapping[type, Origin]] = {KeySetsChanged: Origin.KEY_SETS, ModelsChanged: Origin.MODELS}
# What happens to a configuration that is live.
Happening = Outcome | EndpointsMoved | KeySetsChanged | ModelsChanged
News = asyncio.Queue[Happening]


class Metrics:
    """How changes of the configuration went."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.loads = Counter("tollgate_config_loads", "Configurations read, by result", ["result"], registry=registry)
        self.valid = Gauge("tollgate_config_valid", "1 while all that the file on disk says is live", registry=registry)
        self.rolled_back = Gauge(
            "tollgate_config_rolled_back", "1 while an earlier configuration is live on purpose", registry=registry
        )
        self.compiled = Histogram(
            "tollgate_config_compile_seconds", "From what was read to a published snapshot",
            buckets=COMPILE_BUCKETS, registry=registry,
        )  # fmt: skip
        self.certificates = Expiry(registry)
        self.held_back = HeldBackGauge(registry)


@dataclass(frozen=True)
class Status:
    """What is live and what was wrong with the last change; times in seconds since the epoch.

    `rolled_back` is the entry of the history that is live on purpose. `restored` says why one is live although nobody
    asked for it: the file was broken at the start.
    """

    since: float
    errors: tuple[str, ...] = ()
    held: tuple[HeldBack, ...] = ()
    number: int | None = None
    rolled_back: Pin | None = None
    restored: str = ""


@dataclass(frozen=True)
class Published:
    """A configuration as it was published, and its number in the history."""

    release: Release
    candidate: Candidate
    number: int | None


def result_of(candidate: Candidate) -> Result:
    """What became of it where Envoys run it."""
    return Result.HELD if candidate.held else Result.LIVE


def nodes_say(outcome: Outcome) -> tuple[NodeSays, ...]:
    """What the history keeps of an outcome."""
    return tuple(
        (verdict.node, not verdict.refusals, "; ".join(refusal.message for refusal in verdict.refusals))
        for verdict in outcome.verdicts
        if verdict.settled
    )
