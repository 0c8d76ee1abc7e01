"""Runs one Envoy until it ends or is asked to: its bootstrap filled in, its requests finished before it stops.

It reads no configuration: everything but the addresses of the control plane and of the admin interface comes over xDS.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service_kit.clock import Clock
from service_kit.endpoint import Endpoint, UnixEndpoint, remove_stale_socket
from service_kit.settings import TlsFiles
from tollgate_cli.supervisor.asking import accepts
from tollgate_cli.supervisor.drain import drain
from tollgate_cli.supervisor.envoy import ENVOY_FLAGS, bootstrap, node_id
from tollgate_cli.supervisor.leash import use_all_files

# Seconds for a control plane that is just being started. Without it Envoy would connect a moment too early, and wait
# longer before it tries again.
CONTROL_PLANE_PATIENCE = 15.0
POLL = 0.1
# Seconds an Envoy that was told to stop may take, once nothing is in progress.
STOP_GRACE = 5.0
# What a shell reports for a process that a signal ended.
SIGNAL_EXIT = 128


@dataclass(frozen=True)
class Settings:
    """What one Envoy needs to know, and how it is emptied."""

    binary: Path
    control_plane: Endpoint
    admin: UnixEndpoint
    tls: TlsFiles | None
    memory: int
    log_level: str
    drain_delay: float
    drain_patience: float
    group: str = ""


async def run(settings: Settings, clock: Clock, stop: asyncio.Event) -> int:
    """The exit code of Envoy, 0 where it was asked to stop."""
    command = _command(settings)
    await _wait_for(settings.control_plane, clock, stop)
    if stop.is_set():
        return 0
    remove_stale_socket(settings.admin.path)
    use_all_files()
    process = await asyncio.create_subprocess_exec(*command)
    ended = asyncio.ensure_future(process.wait())
    asked = asyncio.ensure_future(stop.wait())
    await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        asked.cancel()
        return exit_code(ended.result())
    await drain(settings.admin, patience=settings.drain_patience, clock=clock, delay=settings.drain_delay)
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(ended), STOP_GRACE)
        return 0
    process.kill()
    return exit_code(await ended)


def follow_signals(stop: asyncio.Event) -> None:
    """Sets the event when this process is asked to stop: the first process of a container has no default for it."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def outlast(admin: UnixEndpoint, *, patience: float, clock: Clock) -> None:
    """Returns when the Envoy of this admin interface has gone, or after so many seconds.

    For what Envoy asks: stopped together with it, it would leave the requests in progress without an answer.
    """

    async def gone() -> bool:
        return not await accepts(admin)

    await _poll(gone, patience, clock)


def exit_code(code: int) -> int:
    """The code with which this process ends after a child that ended with this one."""
    return SIGNAL_EXIT - code if code < 0 else code


def _command(settings: Settings) -> tuple[str, ...]:
    text = bootstrap(
        control_plane=settings.control_plane,
        tls=settings.tls,
        admin=settings.admin,
        node=node_id(),
        group=settings.group,
        memory=settings.memory,
    )
    # Not in a file: nothing of it is secret. What is written is written beside the admin socket.
    return (str(settings.binary), "--config-yaml", text, "--log-level", settings.log_level, *ENVOY_FLAGS)


async def _wait_for(control_plane: Endpoint, clock: Clock, stop: asyncio.Event) -> None:
    if not isinstance(control_plane, UnixEndpoint):
        return
    address = control_plane

    async def found() -> bool:
        return stop.is_set() or await accepts(address)

    await _poll(found, CONTROL_PLANE_PATIENCE, clock)


async def _poll(reached: Callable[[], Awaitable[bool]], patience: float, clock: Clock) -> None:
    deadline = clock.monotonic() + patience
    while not await reached() and clock.monotonic() < deadline:  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(POLL)
