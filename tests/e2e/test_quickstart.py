"""`make run` without its set-up: the quickstart as a person sees it, killed and stopped as a person would."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.envoy import ROOT, envoy_binary
from tests.support.eventually import eventually
from tests.support.ports import free_port, free_ports_prefix
from tests.support.processes import runs

READY_WITHIN = 60.0


class Quickstart:
    """A running quickstart and what it has printed."""

    def __init__(self, state_dir: Path, out: Path) -> None:
        self.state_dir = state_dir
        self.url = f"http://127.0.0.1:{free_port()}"
        self._out = out
        environ = {
            **os.environ,
            "TOLLGATE_ENVOY": str(envoy_binary()),
            "TOLLGATE_QUICKSTART_ADDRESS": self.url.removeprefix("http://"),
            "TOLLGATE_QUICKSTART_ADMIN": f"127.0.0.1:{free_port()}",
            "TOLLGATE_QUICKSTART_PORTS": free_ports_prefix(),
        }
        with out.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "examples.quickstart.run", "--state-dir", str(state_dir)],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._out.read_text()

    def pids(self) -> dict[int, str]:
        """The processes that work on the state directory, with their command lines."""
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and runs(int(folder.name)):
                command = _command(folder)
                if str(self.state_dir) in command:
                    found[int(folder.name)] = command
        return found

    def pid(self, name: str) -> int | None:
        """The process that runs this program or Python module."""
        return next((pid for pid, command in self.pids().items() if _runs(command, name)), None)


def _runs(command: str, name: str) -> bool:
    program, *arguments = command.split()
    return Path(program).name == name or arguments[:2] == ["-m", name]


def _command(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture
async def quickstart(tmp_path):
    running = Quickstart(tmp_path / "s", tmp_path / "out")
    await eventually(lambda: "# metrics" in running.output or running.process.poll() is not None, within=READY_WITHIN)
    assert running.process.poll() is None, running.output
    yield running
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGTERM)
        await eventually(lambda: running.process.poll() is not None, within=30)
    running.process.kill()
    running.process.wait()


async def test_the_quickstart_is_ready_with_requests_that_succeed_and_stops_without_a_trace(quickstart):
    assert quickstart.output.startswith("ready\n"), quickstart.output
    assert "FAILED" not in quickstart.output
    assert re.search(r"^TOKEN=\S+\.\S+\.\S+$", quickstart.output, re.MULTILINE)
    assert str(quickstart.state_dir / "logs") in quickstart.output

    quickstart.process.send_signal(signal.SIGINT)
    await eventually(lambda: quickstart.process.poll() is not None, within=30)

    assert (quickstart.process.returncode, quickstart.pids()) == (0, {})


async def test_a_process_that_is_killed_comes_back(quickstart):
    async with httpx.AsyncClient() as client:
        for name in ("envoy", "authz_service", "ratelimit_service", "control_plane", "valkey-server"):
            killed = quickstart.pid(name)
            os.kill(killed, signal.SIGKILL)

            await eventually(lambda: quickstart.pid(name) not in {None, killed}, within=10)  # noqa: B023 - awaited here
            await eventually(lambda: _answers(client, quickstart.url), within=20)


async def test_nothing_survives_a_quickstart_that_is_killed(quickstart):
    quickstart.process.kill()
    quickstart.process.wait()

    await eventually(lambda: not quickstart.pids())


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    body = {"username": "alice", "password": "wonderland"}
    try:
        login = await client.post(f"{url}/auth/login", json=body)
        bearer = {"authorization": f"Bearer {login.json()['access_token']}"}
        answer = await client.post(f"{url}/api/email/run", json={"input": "x"}, headers=bearer)
    except (httpx.HTTPError, KeyError, ValueError):
        return False
    return answer.status_code == 200


async def test_a_request_in_progress_is_finished_before_the_gateway_stops(quickstart):
    token = re.search(r"^TOKEN=(\S+)$", quickstart.output, re.MULTILINE)[1]
    body = {"model": "llama3.1:8b", "stream": True, "messages": [{"role": "user", "content": "word " * 60}]}
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream(
            "POST", f"{quickstart.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {token}"}
        ) as answer,
    ):
        lines = answer.aiter_lines()
        first = await anext(lines)
        quickstart.process.send_signal(signal.SIGINT)
        rest = [line async for line in lines if line]

    assert first.startswith("data: {")
    assert rest[-1] == "data: [DONE]"
    await eventually(lambda: quickstart.process.poll() is not None, within=30)
    assert quickstart.process.returncode == 0
