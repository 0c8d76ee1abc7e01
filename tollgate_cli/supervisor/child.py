"""One supervised process: started in a session of its own, restarted with backoff, stopped in the end for good."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from contextlib import suppress
from pathlib import Path

from service_kit.clock import Clock
from tollgate_cli.supervisor.asking import accepts
from tollgate_cli.supervisor.backoff import HEALTHY_AFTER, Backoff
from tollgate_cli.supervisor.output import ChildOutput
from tollgate_cli.supervisor.processes import ProcessSpec

LEASH = Path(__file__).with_name("leash.py")
CHUNK = 1 << 16
# Seconds a process waits for another one's socket before it is started all the same.
AFTER_PATIENCE = 10.0
CONNECT_POLL = 0.02
CANNOT_START = 126


class Child:
    """A process that is kept running until `stop`."""

    def __init__(self, spec: ProcessSpec, output: ChildOutput, clock: Clock) -> None:
        self.spec = spec
        self.pid: int | None = None
        self._output = output
        self._clock = clock
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Returns after `stop`, when the process and whatever it started are gone."""
        try:
            await self._wait_for_predecessor()
            await self._keep_alive()
        finally:
            self._ended.set()

    async def stop(self, *, grace: float) -> None:
        """Asks the process to end, and ends it after so many seconds; returns when `run` has."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._ended.wait(), grace)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._ended.wait()

    async def _wait_for_predecessor(self) -> None:
        deadline = self._clock.monotonic() + AFTER_PATIENCE
        while self.spec.after is not None and self._clock.monotonic() < deadline and not self._stopping.is_set():
            if await accepts(self.spec.after):
                return
            await self._pause(CONNECT_POLL)

    async def _keep_alive(self) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            started = self._clock.monotonic()
            code = await self._live()
            alive = self._clock.monotonic() - started
            if self._stopping.is_set():
                return
            if alive >= HEALTHY_AFTER:
                self._output.forget()
            self._output.once(f"{_how(code)}; it is started again until it stays up")
            backoff = backoff.after_exit(alive)
            await self._pause(backoff.delay)
            backoff = backoff.doubled()

    async def _live(self) -> int:
        """Starts the process and returns its exit code."""
        try:
            process = await self._spawned()
        except OSError as error:
            self._output.once(f"cannot be started: {error.strerror}")
            return CANNOT_START
        self.pid = process.pid
        if self._stopping.is_set():  # `stop` came while the process was being started, and did not see it
            self._signal(signal.SIGTERM)
        pump = asyncio.create_task(self._pump(process))
        code = await process.wait()
        _signal_session(process.pid, signal.SIGKILL)  # what it started and left behind holds the pipe open
        self.pid = None
        await pump
        return code

    async def _spawned(self) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), *self.spec.command,
            env=dict(self.spec.environ), stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True,
        )  # fmt: skip

    async def _pump(self, process: Process) -> None:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for; the type cannot say so
        while data := await process.stdout.read(CHUNK):
            self._output.write(data)
        self._output.end()

    async def _pause(self, seconds: float) -> None:
        """Sleeps, and wakes when the process is to stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is None:
            return
        if number == signal.SIGKILL:
            _signal_session(self.pid, number)
        else:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _signal_session(leader: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _how(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
