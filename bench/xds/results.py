"""Everything that is measured, one after the other, so that nothing is measured while something else is."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.xds.acknowledged import Acknowledged, acknowledged
from bench.xds.alone import alone
from bench.xds.corpus import Edit, Shape
from bench.xds.crowd import Crowd, Fanned, Protocol, connected
from bench.xds.effort import Effort
from bench.xds.plane import Plane, running_plane
from service_kit.clock import Clock

SHARED = {"SotW": Protocol(delta=False), "delta": Protocol(delta=True)}
# Where files have hosts of their own, for clients that take these one by one, as Envoys of our bootstrap do.
BY_HOSTS = {"delta by hosts": Protocol(delta=True, hosts=True)}
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Cold:
    """Seconds of each sample, of compiling and of only reading the files; bytes by type."""

    shape: Shape
    compiled: tuple[float, ...]
    read: tuple[float, ...]
    sizes: dict[str, int]


@dataclass(frozen=True)
class Edited:
    """Edits of a route to the real Envoy's ACK; the steps of others like them; bytes that each kind of edit pushed."""

    shape: Shape
    seen: tuple[Acknowledged, ...]
    steps: tuple[dict[str, float], ...]
    sizes: dict[str, int]


@dataclass(frozen=True)
class Spread:
    """Edits of a kind to so many clients, seconds in which these connected, the control plane's memory at the end."""

    shape: Shape
    protocol: str
    clients: int
    kind: Edit
    connected: float
    seen: tuple[Fanned, ...]
    memory: int


@dataclass(frozen=True)
class Endured:
    """Resident bytes at the start and after every so many edits."""

    shape: Shape
    edits: int
    every: int
    seconds: float
    rss: tuple[int, ...]

    @property
    def steady(self) -> int:
        """What it has once caches are full: after the first edits, not at the start."""
        return self.rss[1]


@dataclass(frozen=True)
class Results:
    """A whole run."""

    effort: Effort
    cold: tuple[Cold, ...]
    edited: tuple[Edited, ...]
    spread: tuple[Spread, ...]
    endured: Endured


def measured(effort: Effort, clock: Clock, tell: Tell) -> Results:
    """The results; LoadFailed where something did not go as it should. Nothing that it started is left."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        config = Path(folder) / "config"
        return Results(
            effort,
            tuple(_cold(effort, config, tell)),
            tuple(_edited(effort, config, clock, tell)),
            tuple(spread for shape in effort.spread_shapes for spread in _spread(effort, shape, clock, tell)),
            _endured(effort, config, tell),
        )


def _cold(effort: Effort, folder: Path, tell: Tell) -> Iterator[Cold]:
    shapes = (item for shape in effort.shapes for item in (shape, replace(shape, hosts=True)))
    for number, shape in enumerate(shapes):
        tell(f"cold compile of {shape}")
        place = folder / f"cold-{number}"
        samples = [alone("cold", place, shape) for _ in range(effort.cold)]
        yield Cold(
            shape,
            tuple(sample["compile"] for sample in samples),
            tuple(sample["yaml"] for sample in samples),
            samples[0]["sizes"],
        )


def _edited(effort: Effort, folder: Path, clock: Clock, tell: Tell) -> Iterator[Edited]:
    for number, shape in enumerate(effort.shapes):
        tell(f"{effort.edits} edits of {shape} to Envoy's ACK, and step by step")
        seen, sizes = acknowledged(shape, effort.edits, clock)
        steps: list[dict[str, float]] = alone("steps", folder / f"steps-{number}", shape, edits=effort.edits)
        yield Edited(shape, tuple(seen), tuple(steps), sizes)


def _spread(effort: Effort, shape: Shape, clock: Clock, tell: Tell) -> Iterator[Spread]:
    with running_plane(shape, clock) as plane:
        for name, protocol in (BY_HOSTS if shape.hosts else SHARED).items():
            tell(f"edits of {shape} to 1 and {effort.clients} clients, {name}")
            to = partial(_to, plane, effort, name, protocol)
            one = list(to(1))
            yield from one
            size = max(seen.size for item in one for seen in item.seen)
            affordable = min(effort.clients, max(1, effort.budget // size))
            if affordable == effort.clients:
                yield from to(effort.clients)
            else:
                yield from to(affordable, (Edit.ROUTE,))
                yield from to(effort.clients, (Edit.ENDPOINT, Edit.CLUSTER))


def _to(
    plane: Plane, effort: Effort, name: str, protocol: Protocol, clients: int, kinds: tuple[Edit, ...] = tuple(Edit)
) -> Iterator[Spread]:
    with connected(plane, clients, protocol, routes=Edit.ROUTE in kinds) as crowd:
        for kind in kinds:
            seen = tuple(_fanned(crowd, kind, effort.fanned))
            yield Spread(plane.corpus.shape, name, clients, kind, crowd.connected, seen, crowd.memory())


def _fanned(crowd: Crowd, kind: Edit, count: int) -> Iterator[Fanned]:
    for number in range(count):
        yield crowd.edit(kind, number)


def _endured(effort: Effort, folder: Path, tell: Tell) -> Endured:
    shape = effort.endured_shape
    tell(f"{effort.endured} edits of {shape}, for its memory")
    found: dict[str, Any] = alone(  # Any: JSON
        "endurance", folder / "endured", shape, edits=effort.endured, every=effort.endured_every,
        seconds=effort.endured_seconds,
    )  # fmt: skip
    return Endured(shape, found["edits"], found["every"], found["seconds"], tuple(found["rss"]))
