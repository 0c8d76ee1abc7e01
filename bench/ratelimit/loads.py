"""What decisions cost: CPU of the service and of its store, waits, and how often the store is asked."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.figures import percentile
from bench.ratelimit.effort import Effort
from bench.ratelimit.services import Ground
from bench.ratelimit.store_told import told
from bench.ratelimit.variants import VARIANTS, Variant
from bench.ratelimit.wire import Schedule, calls
from bench.resources import cpu_seconds
from service_kit.clock import Clock
from tests.support.valkey import StoreServer

RANKS = (50, 99)


@dataclass(frozen=True)
class Work:
    """What a load took of a service and of the store, in seconds of CPU, and what the store was asked."""

    service: float
    store: float
    steps: int
    # Looks of the server at what has come: one for all steps that came together.
    reads: int
    script_microseconds: int


@dataclass(frozen=True)
class Round:
    """One round of a variant. Latencies in seconds, by percentile."""

    busy: Work
    busy_seconds: float
    busy_latency: Mapping[int, float]
    paced: Work
    paced_latency: Mapping[int, float]


@dataclass(frozen=True)
class Loads:
    """The rounds of each variant."""

    rounds: Mapping[str, list[Round]]


def loaded(ground: Ground, effort: Effort, clock: Clock, tell: Callable[[str], None]) -> Loads:
    """Every variant once a round, every other round backwards."""
    found: dict[str, list[Round]] = {variant.name: [] for variant in VARIANTS}
    for variant in VARIANTS:
        _warm_up(ground, variant, effort, clock)
    for number in range(effort.rounds):
        tell(f"round {number + 1} of {effort.rounds}")
        for variant in VARIANTS if number % 2 == 0 else VARIANTS[::-1]:
            found[variant.name].append(_round(ground, variant, effort, f"{variant.name} {number}", clock))
    return Loads(found)


def _warm_up(ground: Ground, variant: Variant, effort: Effort, clock: Clock) -> None:
    """Its answers are not looked at: a limit that is to be used up is used up now."""
    path = ground.services[variant.service].path
    calls(path, variant.calls(effort.warm_up, "warm"), Schedule(math.inf, effort.in_flight), b"", clock)


def _round(ground: Ground, variant: Variant, effort: Effort, word: str, clock: Clock) -> Round:
    busy, busy_seconds, busy_latency = _load(
        ground, variant, variant.calls(effort.busy, f"{word} busy"), Schedule(math.inf, effort.in_flight), clock
    )
    paced, _, paced_latency = _load(
        ground, variant, variant.calls(effort.paced, f"{word} paced"), Schedule(effort.rate, effort.paced), clock
    )
    return Round(busy, busy_seconds, busy_latency, paced, paced_latency)


def _load(
    ground: Ground, variant: Variant, messages: Sequence[bytes], schedule: Schedule, clock: Clock
) -> tuple[Work, float, Mapping[int, float]]:
    """What a load took, for how long, and what it waited."""
    service = ground.services[variant.service]
    before, begun = _work(ground.store, service.pid), clock.monotonic()
    latencies = calls(service.path, messages, schedule, variant.begins, clock)
    seconds = clock.monotonic() - begun
    work = _less(_work(ground.store, service.pid), before)
    return work, seconds, {rank: percentile(latencies, rank) for rank in RANKS}


def _work(store: StoreServer, service: int) -> Work:
    """Sums up to now."""
    known = told(store, "all")
    called = dict(part.split("=") for part in known.get("cmdstat_evalsha", "calls=0,usec=0").split(","))
    return Work(
        service=cpu_seconds(service),
        store=cpu_seconds(store.pid),
        steps=int(called["calls"]),
        reads=int(known["total_reads_processed"]),
        script_microseconds=int(called["usec"]),
    )


def _less(after: Work, before: Work) -> Work:
    """What came between; the second look at the store was one read of it."""
    return Work(
        service=after.service - before.service,
        store=after.store - before.store,
        steps=after.steps - before.steps,
        reads=max(0, after.reads - before.reads - 1),
        script_microseconds=after.script_microseconds - before.script_microseconds,
    )
