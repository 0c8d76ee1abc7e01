import asyncio
import io
from contextlib import asynccontextmanager

import pytest

from service_kit.clock import SystemClock
from service_kit.endpoint import listening_socket, unix_endpoint
from tests.support.eventually import eventually
from tests.support.processes import python_spec, runs
from tollgate_cli.supervisor.child import Child
from tollgate_cli.supervisor.output import ChildOutput, Mood, Terminal

# Each stand-in appends its process id to the file it is given, so that a test sees every start.
SAY = "import os, sys, time, signal, subprocess; print(os.getpid(), file=open(sys.argv[1], 'a'), flush=True);"
SLEEP = SAY + "time.sleep(60)"
CRASH = SAY + "print('error: no luck', flush=True); sys.exit(3)"
STUBBORN = SAY + "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', file=open(sys.argv[1] + '.deaf', 'w'));"
FAMILY = SAY + "child = subprocess.Popen(['sleep', '60']); print(child.pid, file=open(sys.argv[1], 'a'), flush=True);"


@pytest.fixture
def starts(tmp_path):
    return tmp_path / "starts"


@pytest.fixture
def stage(tmp_path, starts):
    """Runs a stand-in under supervision, and yields it with the screen it shows things on."""

    @asynccontextmanager
    async def run(code, *, after=None):
        stream = io.StringIO()
        output = ChildOutput("authz", Terminal(stream, colour=False), io.BytesIO(), verbose=False, mood=Mood.RUNNING)
        spec = python_spec("authz", code, starts, address=unix_endpoint(tmp_path / "a.sock"))
        child = Child(
            spec if after is None else spec.__class__(**{**vars(spec), "after": after}), output, SystemClock()
        )
        task = asyncio.create_task(child.run())
        yield child, stream
        await child.stop(grace=0.5)
        await task

    return run


def pids(starts):
    return [int(line) for line in starts.read_text().split()] if starts.exists() else []


async def test_a_process_that_crashes_is_started_again_and_says_why_once(stage, starts):
    async with stage(CRASH) as (_child, stream):
        await eventually(lambda: len(pids(starts)) >= 3)

    assert stream.getvalue().splitlines() == [
        "authz         | error: no luck",
        "authz         | ended with exit code 3; it is started again until it stays up",
    ]


async def test_stop_leaves_no_process(stage, starts):
    async with stage(SLEEP) as (child, _stream):
        await eventually(lambda: pids(starts))
        assert runs(child.pid)

    assert not any(map(runs, pids(starts)))


async def test_stop_ends_a_process_that_does_not_listen(stage, starts):
    async with stage(STUBBORN + "time.sleep(60)"):
        await eventually((starts.parent / "starts.deaf").exists)

    assert not any(map(runs, pids(starts)))


async def test_what_a_process_started_ends_with_it(stage, starts):
    async with stage(FAMILY + "time.sleep(60)"):
        await eventually(lambda: len(pids(starts)) == 2)

    await eventually(lambda: not any(map(runs, pids(starts))))


async def test_a_process_stays_out_of_reach_of_the_terminals_ctrl_c(stage, starts):
    async with stage(SAY + "print(os.getsid(0), file=open(sys.argv[1], 'a'), flush=True); time.sleep(60)") as (
        child,
        _,
    ):
        await eventually(lambda: len(pids(starts)) == 2)

        assert pids(starts) == [child.pid, child.pid]


async def test_a_process_waits_for_the_socket_that_it_needs(stage, starts, tmp_path):
    needed = unix_endpoint(tmp_path / "xds.sock")
    async with stage(SLEEP, after=needed) as (child, _stream):
        await asyncio.sleep(0)
        assert child.pid is None

        with listening_socket(needed):
            await eventually(lambda: pids(starts))


async def test_a_program_that_is_missing_is_reported(stage, tmp_path, starts):
    async with stage(SAY + "os.execv('/nonexistent', ['x'])") as (_child, stream):
        await eventually(lambda: "FileNotFoundError" in stream.getvalue())
