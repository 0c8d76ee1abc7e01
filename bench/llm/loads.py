"""The loads of a run: every variant in turn, round after round, every other round backwards."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from bench.figures import percentile
from bench.llm.asks import Ask
from bench.llm.calls import Seen, calls
from bench.llm.effort import Effort, Kind
from bench.llm.ground import Ground
from bench.llm.variants import Running, Variant
from bench.load import LoadFailed
from bench.resources import Memory, cpu_of, memory_of
from service_kit.clock import Clock
from tollgate_cli.supervisor.processes import LEDGER

RANKS = (50, 99)
# What a variant may take to answer its first call as it should.
START_SECONDS = 60.0
START_POLL = 0.2
ONE = Kind(1, 1)


@dataclass(frozen=True)
class Cost:
    """A load of one kind, in seconds: CPU of a call by process, and of what callers saw some percentiles."""

    cpu: Mapping[str, float]
    # Calls a second.
    rate: float
    first: Mapping[int, float]
    late: Mapping[int, float]
    gap: Mapping[int, float]


@dataclass(frozen=True)
class Measured:
    """All that was seen of a variant: costs by kind of load, one a round; CPU seconds a second without calls."""

    variant: Variant
    costs: Mapping[str, Sequence[Cost]]
    idle: float
    before: Mapping[str, Memory]
    after: Mapping[str, Memory]


@dataclass(frozen=True)
class Results:
    """A whole run: variants by name."""

    effort: Effort
    variants: Mapping[str, Measured]


@dataclass
class _Watch:
    """A variant under measurement, and what it had used when that began."""

    variant: Variant
    running: Running
    clock: Clock
    before: Mapping[str, Memory]
    start: float
    start_cpu: Mapping[str, float]
    costs: dict[str, list[Cost]] = field(default_factory=dict)
    # What rounds took of the time and the CPU since `start`.
    loaded: float = 0.0
    loaded_cpu: dict[str, float] = field(default_factory=dict)

    def round(self, effort: Effort) -> None:
        start, cpu = self.clock.monotonic(), cpu_of(self.running.processes)
        for name, kind in effort.kinds.items():
            self.costs.setdefault(name, []).append(self._cost(kind, self._waits(effort)))
        self.loaded += self.clock.monotonic() - start
        for name, used in cpu_of(self.running.processes).items():
            self.loaded_cpu[name] = self.loaded_cpu.get(name, 0.0) + used - cpu[name]

    def measured(self, effort: Effort) -> Measured:
        elapsed = self.clock.monotonic() - self.start - self.loaded
        idle = {
            name: (used - self.start_cpu[name] - self.loaded_cpu[name]) / elapsed
            for name, used in cpu_of(self.running.processes).items()
        }
        waited = {name: self._waits(effort) / kind.calls for name, kind in effort.kinds.items()}
        costs = {name: [_without(cost, idle, waited[name]) for cost in costs] for name, costs in self.costs.items()}
        return Measured(self.variant, costs, sum(idle.values()), self.before, memory_of(self.running.processes))

    def _waits(self, effort: Effort) -> float:
        """Seconds behind each load."""
        return effort.written_down if LEDGER in self.running.processes else 0.0

    def _cost(self, kind: Kind, waits: float) -> Cost:
        """With what is done behind the load, and what all the processes take anyhow in the meantime."""
        processes = self.running.processes
        before = cpu_of(processes)
        seen = called(self.variant, self.running, kind, self.clock)
        time.sleep(waits)
        return _told(seen, {name: used - before[name] for name, used in cpu_of(processes).items()}, kind.calls)


def measured(
    ground: Ground, variants: Sequence[Variant], effort: Effort, clock: Clock, tell: Callable[[str], None]
) -> Results:
    """Of these variants, all of them up at the same time; LoadFailed where one call failed."""
    with ExitStack() as stack:
        watches = []
        for variant in variants:
            tell(f"starting {variant.name}")
            watches.append(_watch(variant, stack.enter_context(variant.start(ground)), effort, clock))
        for number in range(effort.rounds):
            tell(f"round {number + 1} of {effort.rounds}")
            for watch in watches if number % 2 == 0 else reversed(watches):
                watch.round(effort)
        return Results(effort, {watch.variant.name: watch.measured(effort) for watch in watches})


def wait_until_it_serves(variant: Variant, running: Running, clock: Clock) -> None:
    """Returns as soon as a call is answered as it should be; LoadFailed with the reason where none is."""
    deadline = clock.monotonic() + START_SECONDS
    while True:
        try:
            called(variant, running, ONE, clock)
        except LoadFailed:
            if clock.monotonic() > deadline:
                raise
            time.sleep(START_POLL)
        else:
            return


def _watch(variant: Variant, running: Running, effort: Effort, clock: Clock) -> _Watch:
    """The variant as soon as it serves and has seen its first calls."""
    wait_until_it_serves(variant, running, clock)
    for streamed in (False, True):
        called(variant, running, Kind(effort.warm_up, effort.whole.connections, streamed=streamed), clock)
    start_cpu = cpu_of(running.processes)
    return _Watch(variant, running, clock, memory_of(running.processes), clock.monotonic(), start_cpu)


def called(variant: Variant, running: Running, kind: Kind, clock: Clock, *, keeps: bool = True) -> Seen:
    """Calls of a kind; LoadFailed says of which variant."""
    ask = Ask(variant.dialect, streamed=kind.streamed, pause=kind.pause)
    try:
        return calls(running.place, ask, kind, clock, keeps=keeps)
    except LoadFailed as error:
        raise LoadFailed(f"{variant.name}: {error}") from error


def _without(cost: Cost, idle: Mapping[str, float], seconds: float) -> Cost:
    """Less what each process takes in these seconds without calls."""
    return replace(cost, cpu={name: max(0.0, used - idle[name] * seconds) for name, used in cost.cpu.items()})


def _told(seen: Seen, spent: Mapping[str, float], count: int) -> Cost:
    def ranks(seconds: Sequence[float]) -> Mapping[int, float]:
        return {rank: percentile(seconds, rank) for rank in RANKS} if seconds else {}

    cpu = {name: seconds / count for name, seconds in spent.items()}
    return Cost(cpu, count / seen.seconds, ranks(seen.firsts), ranks(seen.lates), ranks(seen.gaps))
