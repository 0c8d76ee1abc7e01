"""What a suite is: named variants and probes as data, which one core measures."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.load import Target
from tests.support.gateway import Gateway


@dataclass(frozen=True)
class Ground:
    """What all variants stand on: the binary, a folder for their files, one upstream, one credential."""

    folder: Path
    envoy: Path
    upstream_port: int
    upstream_body: bytes
    jwks: Path
    token: str

    @property
    def upstream_url(self) -> str:
        return f"http://127.0.0.1:{self.upstream_port}"


@dataclass(frozen=True)
class Running:
    """A variant that serves: where, its processes by name, and the gateway where it is a whole one."""

    target: Target
    processes: Mapping[str, int]
    gateway: Gateway | None = None


@dataclass(frozen=True)
class Variant:
    """One way to serve the same request. `shows` is what a reader learns from it."""

    name: str
    shows: str
    start: Callable[[Ground], AbstractContextManager[Running]]


@dataclass(frozen=True)
class Probe:
    """A figure that is no request: called so many times, it gives seconds."""

    name: str
    shows: str
    seconds: Callable[[Ground, Mapping[str, Running], int], list[float]]


@dataclass(frozen=True)
class Suite:
    """Variants that are compared with one of them, all of them up at the same time."""

    name: str
    title: str
    baseline: str
    ground: Callable[[], AbstractContextManager[Ground]]
    variants: tuple[Variant, ...]
    probes: tuple[Probe, ...] = ()


@dataclass(frozen=True)
class Effort:
    """How much is measured: in each round `busy` requests as fast as they are answered, then `paced` ones at a rate.

    The rate is far below what the slowest variant serves on two cores, generator and upstream included.
    """

    rounds: int
    warm_up: int
    busy: int
    paced: int
    rate: float
    connections: int
    probes: int

    @property
    def requests(self) -> int:
        """How many a variant gets in all, after its first ones."""
        return self.rounds * (self.warm_up + self.busy + self.paced)


USUAL = Effort(rounds=6, warm_up=100, busy=2000, paced=750, rate=300.0, connections=8, probes=6)
QUICK = Effort(rounds=2, warm_up=50, busy=300, paced=300, rate=300.0, connections=8, probes=2)
