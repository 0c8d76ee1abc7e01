"""The README as a reader uses it: every command of it is run by a shell, in its order, in the folder of the project,
and so is every program.

Only the ports differ, so that a gateway of the developer's own may be running, and the folder of the state.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.envoy import ROOT, envoy_binary
from tests.support.eventually import until
from tests.support.ports import free_port, free_ports_prefix

README = (ROOT / "README.md").read_text()
# What runs the tests is not run by one of them: .ci/run calls it.
RUNS_THIS_TEST = "make test"
# Commands that stay in the foreground until Ctrl-C, and what each prints when it is up.
SERVES = {"make run": "metrics\ncurl", ".venv/bin/tollgate run": "stop     Ctrl-C"}


def commands() -> list[str]:
    """The commands of the README's shell blocks, continued lines joined, and its programs as commands."""
    blocks = re.findall(r"^( *)```(sh|python)\n(.*?)^ *```", README, re.MULTILINE | re.DOTALL)
    return [command for indent, language, block in blocks for command in _commands(indent, language, block)]


def _commands(indent: str, language: str, block: str) -> list[str]:
    if language == "python":
        return [f"{shlex.quote(sys.executable)} -c {shlex.quote(block)}"]
    lines = [line.removeprefix(indent) for line in block.replace("\\\n", "").splitlines()]
    return [line for line in lines if line != RUNS_THIS_TEST]


class Reader:
    """A shell whose variables last, and the servers that the reader has started in other terminals."""

    def __init__(self, folder: Path) -> None:
        port, admin = free_port(), free_port()
        self._folder = folder
        self._state = folder / "state"
        self._replaced = {
            "127.0.0.1:8800": f"127.0.0.1:{port}",
            "127.0.0.1:8801": f"127.0.0.1:{admin}",
            "examples/minimal.yaml": str(folder / "minimal.yaml"),
            ".tollgate": str(self._state),
            "> gateway.schema.json": f"> {folder}/gateway.schema.json",
        }
        self._environ = {
            **os.environ,
            "TOLLGATE_ENVOY": str(envoy_binary()),
            "TOLLGATE_QUICKSTART_ADDRESS": f"127.0.0.1:{port}",
            "TOLLGATE_QUICKSTART_ADMIN": f"127.0.0.1:{admin}",
            "TOLLGATE_QUICKSTART_PORTS": free_ports_prefix(),
        }
        minimal = (ROOT / "examples/minimal.yaml").read_text()
        (folder / "minimal.yaml").write_text(self._own(minimal) + f"admin: {{address: '127.0.0.1:{admin}'}}\n")
        self._server: subprocess.Popen[bytes] | None = None

    def run(self, command: str) -> str:
        """Runs a command and keeps the variables it sets; what serves goes on, in place of what served before."""
        awaited = next((text for start, text in SERVES.items() if command.startswith(start)), None)
        return self._run(self._own(command)) if awaited is None else self._serve(self._own(command), awaited)

    def stop(self) -> None:
        """Ctrl-C."""
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGINT)
            assert self._server.wait(60) in (0, -signal.SIGINT)  # make ends itself by the signal it got
            with pytest.raises(ProcessLookupError):
                os.killpg(self._server.pid, 0)
            self._server = None

    def _own(self, text: str) -> str:
        for theirs, ours in self._replaced.items():
            text = text.replace(theirs, ours)
        return f"{text} STATE_DIR={self._state}" if text == "make run" else text

    def _run(self, command: str) -> str:
        variables = self._folder / "variables"
        done = subprocess.run(
            ["bash", "-aeuo", "pipefail", "-c", f"{command}\nenv -0 > {variables}"],  # -a: variables last
            cwd=ROOT,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        self._environ = dict(entry.split("=", 1) for entry in variables.read_text().split("\0") if entry)
        return done.stdout

    def _serve(self, command: str, awaited: str) -> str:
        self.stop()
        output = self._folder / "output"
        with output.open("wb") as file:
            self._server = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=ROOT, env=self._environ, stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip
        until(lambda: self._is_up(output, awaited), seconds=90)
        return output.read_text()

    def _is_up(self, output: Path, awaited: str) -> bool:
        assert self._server is not None and self._server.poll() is None, output.read_text()  # noqa: PT018 - for mypy
        return awaited in output.read_text()


@pytest.fixture
def reader() -> Iterator[Reader]:
    with tempfile.TemporaryDirectory(prefix="tg-") as folder:  # short: socket paths have a limit
        reading = Reader(Path(folder))
        yield reading
        reading.stop()


def test_every_command_of_the_readme_works(reader: Reader):
    outputs = {command: reader.run(command) for command in commands()}

    def output(part: str) -> str:
        return next(text for command, text in outputs.items() if part in command)

    assert "TOKEN=" in output("make run")
    assert '"error"' not in output("/api/support/run")
    assert '"error"' not in output("/api/email/run")
    assert output("/v1/chat/completions").rstrip().endswith("data: [DONE]")
    assert output("from openai import").endswith("word for word.64\n")
    assert output("from ollama import").endswith("word for word.\n")
    assert "nomic-embed-text" in output("tollgate models")
    assert "llama3.1:8b" in output("tollgate usage")
    assert "tenant/acme:usd:month:tenant" in output("tollgate quota list")
    assert '"consumer":"alice"' in output("/v1/usage")
    assert "is valid: 1 listener, 1 route, 1 upstream" in output("tollgate validate")
    assert "tollgate:routes" in output("tollgate render")
    assert "tollgate_config_valid" in output("/metrics")
    assert '"nodes"' in output("/status")
    assert "tollgate-envoy" in output("tollgate status")
    assert "nothing would change" in output("tollgate diff")
    assert "live" in output("tollgate history")
    assert output("keys create").startswith("tgk_")
    assert " shop " in output("keys list")


def test_the_configuration_shown_is_the_example():
    shown = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)

    assert shown
    assert shown[1] == (ROOT / "examples/minimal.yaml").read_text()
