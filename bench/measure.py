"""The measuring core: starts all variants of a suite, loads them in turn, round after round, and keeps what was seen.

All stand on the same machine in the same minutes, and every other round goes backwards: a machine that drifts harms all
alike. A round in which one request failed is an error, not a figure.
"""

import math
import resource
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.figures import percentile
from bench.load import Load, LoadFailed, Schedule, Target, load
from bench.resources import Memory, cpu_of, memory_of
from bench.suite import Effort, Ground, Running, Suite, Variant
from service_kit.clock import Clock

PERCENTILES = (50, 90, 99)
# What a variant may take to answer its first request as it should.
START_SECONDS = 30.0
START_POLL = 0.05
ONE = Schedule(requests=1, rate=math.inf, connections=1)


@dataclass(frozen=True)
class Round:
    """One variant in one round, in seconds: CPU a request by process, busy and paced, and the generator's own.

    Of the paced requests, latency and how late they were sent, by percentile.
    """

    busy_cpu: Mapping[str, float]
    paced_cpu: Mapping[str, float]
    generator_cpu: float
    latency: Mapping[int, float]
    lag: Mapping[int, float]


@dataclass(frozen=True)
class Measured:
    """All that was seen of a variant. `idle` is CPU seconds a second by process, while others were loaded."""

    variant: Variant
    rounds: tuple[Round, ...]
    idle: Mapping[str, float]
    before: Mapping[str, Memory]
    after: Mapping[str, Memory]


@dataclass(frozen=True)
class Results:
    """A whole run: variants by name, and seconds by probe."""

    suite: Suite
    effort: Effort
    variants: Mapping[str, Measured]
    probes: Mapping[str, tuple[float, ...]]

    @property
    def baseline(self) -> Measured:
        return self.variants[self.suite.baseline]


@dataclass
class _Watch:
    """A variant under measurement, and what it had used when that began."""

    variant: Variant
    running: Running
    effort: Effort
    clock: Clock
    before: Mapping[str, Memory]
    start: float
    start_cpu: Mapping[str, float]
    rounds: list[Round] = field(default_factory=list)
    # What rounds took of the time and the CPU since `start`.
    loaded: float = 0.0
    loaded_cpu: dict[str, float] = field(default_factory=dict)

    def round(self) -> None:
        start, cpu = self.clock.monotonic(), cpu_of(self.running.processes)
        self._load(self.effort.warm_up)
        self.rounds.append(self._round())
        spent = _difference(cpu_of(self.running.processes), cpu)
        self.loaded += self.clock.monotonic() - start
        self.loaded_cpu = {name: self.loaded_cpu.get(name, 0.0) + seconds for name, seconds in spent.items()}

    def measured(self) -> Measured:
        elapsed = self.clock.monotonic() - self.start - self.loaded
        spent = _difference(_difference(cpu_of(self.running.processes), self.start_cpu), self.loaded_cpu)
        return Measured(
            variant=self.variant,
            rounds=tuple(self.rounds),
            idle={name: seconds / elapsed for name, seconds in spent.items()},
            before=self.before,
            after=memory_of(self.running.processes),
        )

    def _round(self) -> Round:
        _, busy_cpu = self._counted_load(self.effort.busy, math.inf)
        own = _own_cpu()
        seen, paced_cpu = self._counted_load(self.effort.paced, self.effort.rate)
        return Round(
            busy_cpu=busy_cpu,
            paced_cpu=paced_cpu,
            generator_cpu=(_own_cpu() - own) / self.effort.paced,
            latency={rank: percentile(seen.latencies, rank) for rank in PERCENTILES},
            lag={rank: percentile(seen.lags, rank) for rank in PERCENTILES},
        )

    def _counted_load(self, requests: int, rate: float) -> tuple[Load, dict[str, float]]:
        """A load, and what it took of the CPU a request."""
        cpu = cpu_of(self.running.processes)
        seen = self._load(requests, rate)
        spent = _difference(cpu_of(self.running.processes), cpu)
        return seen, {name: seconds / requests for name, seconds in spent.items()}

    def _load(self, requests: int, rate: float = math.inf) -> Load:
        schedule = Schedule(requests, rate, self.effort.connections)
        try:
            return load(self.running.target, schedule, self.clock)
        except LoadFailed as error:
            raise LoadFailed(f"{self.variant.name}: {error}") from error


def measured(suite: Suite, effort: Effort, clock: Clock, tell: Callable[[str], None]) -> Results:
    """The results of a suite; LoadFailed where any request failed. Nothing that it started is left."""
    with ExitStack() as stack:
        ground = stack.enter_context(suite.ground())
        watches = []
        for variant in suite.variants:
            tell(f"starting {variant.name}")
            watches.append(_watch(variant, stack.enter_context(variant.start(ground)), effort, clock))
        for number in range(effort.rounds):
            tell(f"round {number + 1} of {effort.rounds}")
            for watch in watches if number % 2 == 0 else reversed(watches):
                watch.round()
        variants = {watch.variant.name: watch.measured() for watch in watches}
        return Results(suite, effort, variants, _probed(suite, effort, ground, watches, tell))


def _watch(variant: Variant, running: Running, effort: Effort, clock: Clock) -> _Watch:
    """The variant as soon as it serves and has seen its first requests."""
    wait_until_it_serves(running.target, clock)
    load(running.target, Schedule(effort.warm_up, math.inf, effort.connections), clock)
    return _Watch(
        variant=variant,
        running=running,
        effort=effort,
        clock=clock,
        before=memory_of(running.processes),
        start=clock.monotonic(),
        start_cpu=cpu_of(running.processes),
    )


def wait_until_it_serves(target: Target, clock: Clock) -> None:
    """Returns as soon as one request is answered as it should be; LoadFailed with the reason where none is."""
    deadline = clock.monotonic() + START_SECONDS
    while True:
        try:
            load(target, ONE, clock)
        except LoadFailed:
            if clock.monotonic() > deadline:
                raise
            time.sleep(START_POLL)
        else:
            return


def _probed(
    suite: Suite, effort: Effort, ground: Ground, watches: list[_Watch], tell: Callable[[str], None]
) -> dict[str, tuple[float, ...]]:
    running = {watch.variant.name: watch.running for watch in watches}
    found = {}
    for probe in suite.probes:
        tell(f"probing {probe.name}")
        found[probe.name] = tuple(probe.seconds(ground, running, effort.probes))
    return found


def _difference(later: Mapping[str, float], earlier: Mapping[str, float]) -> dict[str, float]:
    return {name: seconds - earlier.get(name, 0.0) for name, seconds in later.items()}


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
