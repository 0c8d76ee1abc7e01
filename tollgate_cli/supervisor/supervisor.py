"""The life of a gateway on one host: start all, say when it is ready, keep it running, drain and stop it in order."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field

from service_kit.clock import Clock
from service_kit.endpoint import TcpEndpoint
from tollgate_cli.supervisor.child import Child
from tollgate_cli.supervisor.drain import drain
from tollgate_cli.supervisor.health import answers_ready, healthy, url_of
from tollgate_cli.supervisor.layout import Layout
from tollgate_cli.supervisor.output import ChildOutput, Mood, Terminal
from tollgate_cli.supervisor.processes import ENVOY, STOP_ORDER, ProcessSpec
from tollgate_cli.supervisor.rotation import Rotation, access_log, keep_small, log_file
from tollgate_cli.supervisor.store_sync import keep_synced

READY_POLL = 0.1
READY_PATIENCE = 30.0
DRAIN_PATIENCE = 10.0
STOP_GRACE = 5.0
# The grace of a process once the operator has asked a second time.
HURRIED_GRACE = 1.0


@dataclass(frozen=True)
class Plan:
    """What is supervised, and what an operator wants to know about it."""

    specs: tuple[ProcessSpec, ...]
    layout: Layout
    listeners: Mapping[str, TcpEndpoint]
    admin: TcpEndpoint
    encrypted: frozenset[str] = frozenset()
    verbose: bool = False
    rotation: Rotation = field(default_factory=Rotation)


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask to stop: a terminal that hangs up is one, unless `nohup` has it ignored."""
    hangup = () if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGINT, signal.SIGTERM, *hangup)


class StopRequests:
    """How often the operator has asked to stop: once gracefully, twice at once."""

    def __init__(self) -> None:
        self.once = asyncio.Event()
        self.twice = asyncio.Event()

    def ask(self) -> None:
        (self.twice if self.once.is_set() else self.once).set()

    def follow_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in stop_signals():
            loop.add_signal_handler(number, self.ask)


async def supervise(plan: Plan, terminal: Terminal, clock: Clock, stop: StopRequests) -> None:
    """Runs the processes until the operator asks to stop; then none of them is left."""
    with ExitStack() as files:
        logs = [files.enter_context(closing(log_file(plan.layout.log(spec.name)))) for spec in plan.specs]
        record = access_log(plan.layout.access_log, plan.layout.sockets.envoy)
        outputs = [
            ChildOutput(spec.name, terminal, log, plan.verbose) for spec, log in zip(plan.specs, logs, strict=True)
        ]
        children = [Child(spec, output, clock) for spec, output in zip(plan.specs, outputs, strict=True)]
        async with asyncio.TaskGroup() as tasks:
            for child in children:
                tasks.create_task(child.run())
            announcer = tasks.create_task(_announce(plan, outputs, terminal, clock))
            rotator = tasks.create_task(keep_small((*logs, record), plan.rotation, terminal))
            syncer = tasks.create_task(keep_synced(plan.layout.store))
            await stop.once.wait()
            announcer.cancel()
            _set_mood(outputs, Mood.STOPPING)
            await _stop_all(children, terminal, clock, stop)
            rotator.cancel()
            syncer.cancel()
    terminal.line("stopped")


def _set_mood(outputs: Sequence[ChildOutput], mood: Mood) -> None:
    for output in outputs:
        output.mood = mood


async def _announce(plan: Plan, outputs: Sequence[ChildOutput], terminal: Terminal, clock: Clock) -> None:
    """Says `ready` when it is; says what is missing when that takes too long."""
    started = clock.monotonic()
    complained = False
    while not await all_ready(plan):
        if not complained and clock.monotonic() - started > READY_PATIENCE:
            terminal.line(await _complaint(plan))
            _set_mood(outputs, Mood.RUNNING)
            complained = True
        await asyncio.sleep(READY_POLL)
    _set_mood(outputs, Mood.RUNNING)
    for line in _ready_lines(plan):
        terminal.line(line)


async def all_ready(plan: Plan) -> bool:
    """Whether every listener answers that the gateway is ready."""
    return all([await answers_ready(url) for _, url in _listener_urls(plan)])


def _listener_urls(plan: Plan) -> Iterator[tuple[str, str]]:
    for name, address in plan.listeners.items():
        yield name, url_of(address, encrypted=name in plan.encrypted)


def _ready_lines(plan: Plan) -> Sequence[str]:
    return (
        "ready",
        *(f"  {name:<8} {url}" for name, url in _listener_urls(plan)),
        f"  {'admin':<8} {url_of(plan.admin)}",
        f"  {'logs':<8} {plan.layout.logs}",
        f"  {'stop':<8} Ctrl-C",
    )


async def _complaint(plan: Plan) -> str:
    unwell = [spec for spec in plan.specs if not await healthy(spec)]
    if not unwell:
        return (
            f"not ready after {READY_PATIENCE:g} s though every process is well: is an upstream down that has "
            f"`readiness: required`? See {plan.layout.logs}"
        )
    logs = ", ".join(f"{spec.name} ({plan.layout.log(spec.name)})" for spec in unwell)
    return f"not ready after {READY_PATIENCE:g} s; not healthy, with their logs: {logs}"


async def _stop_all(children: Sequence[Child], terminal: Terminal, clock: Clock, stop: StopRequests) -> None:
    terminal.line("stopping: requests in progress may finish; Ctrl-C again stops at once")
    by_name = {child.spec.name: child for child in children}
    if (gateway := by_name.get(ENVOY)) is not None and gateway.pid is not None:
        await _unless_hurried(lambda: drain(gateway.spec.address, patience=DRAIN_PATIENCE, clock=clock), stop)
    for name in STOP_ORDER:
        if (child := by_name.get(name)) is not None:
            await child.stop(grace=HURRIED_GRACE if stop.twice.is_set() else STOP_GRACE)


async def _unless_hurried(work: Callable[[], Awaitable[None]], stop: StopRequests) -> None:
    """Does the work until the operator asks a second time."""
    task = asyncio.ensure_future(work())
    hurried = asyncio.ensure_future(stop.twice.wait())
    await asyncio.wait({task, hurried}, return_when=asyncio.FIRST_COMPLETED)
    for pending in (task, hurried):
        pending.cancel()
        with suppress(asyncio.CancelledError):
            await pending
