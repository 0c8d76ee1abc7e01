"""The quickstart, as `make run` starts it: the services, the gateway before them, and requests that were tried."""

import argparse
import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from examples.quickstart.credentials import quickstart_secrets
from examples.quickstart.samples import PASSWORD, USER, Tried, login, models, samples, tried
from examples.quickstart.services import OLLAMA_VARIABLE, language_model_url
from service_kit.endpoint import EndpointError
from tollgate_cli.supervisor.child import LEASH
from tollgate_cli.supervisor.layout import layout
from tollgate_cli.supervisor.output import Terminal, standard_terminal, terminal
from tollgate_cli.supervisor.supervisor import stop_signals

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
STOP_GRACE = 5.0
READY = "ready"
NO_MODEL = "the chat is left out: Ollama cannot be reached, or has no model that chats (`ollama pull llama3.1:8b`)"


class ServicesFailed(Exception):  # noqa: N818 - reads as what it reports
    """What stands behind the gateway did not start, and has said why."""


async def quickstart(state_dir: Path, terminal: Terminal, environ: Mapping[str, str]) -> int:
    """Runs everything until it is stopped; the exit code of the gateway."""
    async with _services(environ) as _, _gateway(state_dir, environ) as gateway:
        _forward_signals(gateway)
        printer = asyncio.create_task(_show(gateway, terminal, environ))
        code = await gateway.wait()
        await printer
    return code


@asynccontextmanager
async def _services(environ: Mapping[str, str]) -> AsyncIterator[None]:
    process = await _leashed("-m", "examples.quickstart.services", environ=environ, stdout=PIPE)
    try:
        assert process.stdout is not None  # a pipe was asked for; the type cannot say so
        if not await process.stdout.readline():
            raise ServicesFailed
        yield
    finally:
        await _stop(process)


@asynccontextmanager
async def _gateway(state_dir: Path, environ: Mapping[str, str]) -> AsyncIterator[Process]:
    colour = {"FORCE_COLOR": "1"} if sys.stdout is not None and sys.stdout.isatty() else {}
    process = await _leashed(
        *("-m", "tollgate_cli", "run", str(HERE / "gateway.yaml"), "--state-dir", str(state_dir)),
        environ={**environ, **colour, OLLAMA_VARIABLE: language_model_url(environ)},
        stdout=PIPE,
    )
    try:
        yield process
    finally:
        await _stop(process)


async def _leashed(*arguments: str, environ: Mapping[str, str], stdout: int) -> Process:
    """Python with these arguments, out of Ctrl-C's reach, and dead when this process is."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), sys.executable, *arguments,
        cwd=REPOSITORY, env=dict(environ), stdin=DEVNULL, stdout=stdout, start_new_session=True,
    )  # fmt: skip


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_GRACE)
    except TimeoutError:
        process.kill()
        await process.wait()


def _forward_signals(gateway: Process) -> None:
    """The gateway decides what a signal means: the first drains it, the second stops it at once."""
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        loop.add_signal_handler(number, _signal, gateway)


def _signal(gateway: Process) -> None:
    with suppress(ProcessLookupError):
        gateway.send_signal(signal.SIGINT)


async def _show(gateway: Process, terminal: Terminal, environ: Mapping[str, str]) -> None:
    """Passes the gateway's lines on; when it is ready, adds what to do with it."""
    assert gateway.stdout is not None  # a pipe was asked for; the type cannot say so
    facts: dict[str, str] | None = None
    guide: asyncio.Task[None] | None = None
    while line := (await gateway.stdout.readline()).decode(errors="replace").rstrip("\n"):
        terminal.line(line)
        if line == READY:
            facts = {}
        elif facts is not None and guide is None and line.startswith("  "):
            name, _, value = line.strip().partition(" ")
            facts[name] = value.strip()
            if name == "stop":
                guide = asyncio.create_task(_guide(facts["public"], facts["admin"], terminal, environ))
    if guide is not None:
        guide.cancel()
        with suppress(asyncio.CancelledError):
            await guide


async def _guide(gateway: str, admin: str, terminal: Terminal, environ: Mapping[str, str]) -> None:
    try:
        token = await login(gateway)
    except (httpx.HTTPError, KeyError, ValueError) as error:
        terminal.line(f"the login through the gateway failed: {error}")
        return
    found = await models(gateway, token)
    results = [await tried(sample, token, environ) for sample in samples(gateway, admin, found)]
    for line in _guide_lines(token, results):
        terminal.line(line)
    if found.chat is None:
        terminal.line(NO_MODEL)


def _guide_lines(token: str, results: Sequence[Tried]) -> Sequence[str]:
    """The credential and the requests; one that failed is shown as such."""
    requests = [
        line for result in results for line in (f"# {result.sample.what}{_failed(result)}", result.sample.command, "")
    ]
    return (
        "",
        f"A credential, of {USER} (password {PASSWORD}), good for an hour:",
        "",
        f"TOKEN={token}",
        "",
        "Requests, each one just tried:",
        "",
        *requests,
    )


def _failed(result: Tried) -> str:
    return f" - FAILED: {result.failure}" if result.failure else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", type=Path, default=Path(".tollgate"))
    state_dir = parser.parse_args().state_dir.absolute()
    try:
        layout(state_dir)
        environ = {**os.environ, **quickstart_secrets(state_dir)}
        return asyncio.run(quickstart(state_dir, standard_terminal(environ), environ))
    except EndpointError as error:
        terminal(sys.stderr, {}).line(f"error: {error}, as in `make run STATE_DIR=/tmp/tollgate`")
    except OSError as error:
        terminal(sys.stderr, {}).line(f"error: {error}")
    except ServicesFailed:
        pass
    except KeyboardInterrupt:  # before the gateway was there to stop
        return 130
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
