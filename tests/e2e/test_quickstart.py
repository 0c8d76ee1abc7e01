"""`make run` without its set-up: the quickstart as a person sees it, killed and stopped as a person would."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import ollama
import openai
import pytest

from examples.quickstart.services import language_model
from service_kit.clock import SystemClock
from service_kit.endpoint import TcpEndpoint
from service_kit.http import HttpServer
from tests.support.envoy import ROOT, envoy_binary
from tests.support.eventually import eventually
from tests.support.ports import free_port, free_ports_prefix
from tests.support.processes import runs

READY_WITHIN = 60.0
HELLO = [{"role": "user", "content": "hello"}]


class Quickstart:
    """A running quickstart and what it has printed."""

    def __init__(self, state_dir: Path, out: Path, **variables: str) -> None:
        self.state_dir = state_dir
        self.url = f"http://127.0.0.1:{free_port()}"
        self._out = out
        environ = {
            **os.environ,
            "TOLLGATE_ENVOY": str(envoy_binary()),
            "TOLLGATE_QUICKSTART_ADDRESS": self.url.removeprefix("http://"),
            "TOLLGATE_QUICKSTART_ADMIN": f"127.0.0.1:{free_port()}",
            "TOLLGATE_QUICKSTART_PORTS": free_ports_prefix(),
            **variables,
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

    @property
    def token(self) -> str:
        """The credential that was printed."""
        return re.search(r"^TOKEN=(\S+)$", self.output, re.MULTILINE)[1]

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
    async with running_quickstart(tmp_path) as running:
        yield running


@asynccontextmanager
async def running_quickstart(folder: Path, **variables: str) -> AsyncIterator[Quickstart]:
    """A quickstart that has printed its last request, stopped in the end."""
    running = Quickstart(folder / "s", folder / "out", **variables)
    await eventually(lambda: "# metrics" in running.output or running.process.poll() is not None, within=READY_WITHIN)
    assert running.process.poll() is None, running.output
    try:
        yield running
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            await eventually(lambda: running.process.poll() is not None, within=30)
    finally:
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


async def test_the_real_openai_client_streams_through_the_gateway(quickstart):
    async with openai.AsyncOpenAI(base_url=f"{quickstart.url}/v1", api_key=quickstart.token, max_retries=0) as client:
        models = await client.models.list()
        stream = await client.chat.completions.create(model=models.data[0].id, messages=HELLO, stream=True)
        words = [chunk.choices[0].delta.content async for chunk in stream if chunk.choices]
        vectors = await client.embeddings.create(model="nomic-embed-text", input=["one", "two"])
    async with openai.AsyncOpenAI(base_url=f"{quickstart.url}/v1", api_key="wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.models.list()

    assert len(words) > 3
    assert "hello" in "".join(filter(None, words))
    assert len(vectors.data) == 2


async def test_the_real_ollama_client_finds_the_same_models(quickstart):
    bearer = {"authorization": f"Bearer {quickstart.token}"}
    client = ollama.AsyncClient(host=quickstart.url, headers=bearer, trust_env=False)
    listed = [model.model for model in (await client.list()).models]
    answer = await client.chat(model=listed[0], messages=HELLO)
    vectors = await client.embed(model="nomic-embed-text", input=["one", "two"])
    await client._client.aclose()

    assert listed == ["llama3.1:8b", "nomic-embed-text:latest", "qwen2.5:7b"]
    assert "hello" in answer.message.content
    assert len(vectors.embeddings) == 2


async def test_a_plan_may_call_some_models(quickstart):
    async with httpx.AsyncClient(base_url=quickstart.url) as client:
        login = await client.post("/auth/login", json={"username": "bob", "password": "builder"})
    token = login.json()["access_token"]
    async with openai.AsyncOpenAI(base_url=f"{quickstart.url}/v1", api_key=token, max_retries=0) as free:
        listed = [model.id async for model in free.models.list()]
        answer = await free.chat.completions.create(model=listed[0], messages=HELLO)
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await free.chat.completions.create(model="qwen2.5:7b", messages=HELLO)

    assert listed == ["llama3.1:8b", "nomic-embed-text:latest"]
    assert "hello" in answer.choices[0].message.content
    assert refused.value.code == "model_not_allowed"


async def test_ollama_base_url_takes_the_place_of_the_stand_in(tmp_path):
    address = TcpEndpoint("127.0.0.1", free_port())
    asked: list[str] = []

    async def ollama(scope, receive, send):
        asked.append(scope["path"])
        await language_model(SystemClock(), pace=0.0)(scope, receive, send)

    server = HttpServer(ollama, address)
    task = asyncio.create_task(server.serve())
    async with running_quickstart(tmp_path, OLLAMA_BASE_URL=f"http://{address}") as running:
        assert "# chat, as it streams" in running.output
    server.stop()
    await task

    assert "/v1/chat/completions" in asked


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
    body = {"model": "llama3.1:8b", "stream": True, "messages": [{"role": "user", "content": "word " * 60}]}
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream(
            "POST",
            f"{quickstart.url}/v1/chat/completions",
            json=body,
            headers={"authorization": f"Bearer {quickstart.token}"},
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
