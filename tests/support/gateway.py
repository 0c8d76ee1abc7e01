"""A whole gateway as an operator runs it: `tollgate run` as a process of its own, on free ports, in its own folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.envoy import envoy_binary
from tests.support.eventually import until
from tests.support.ports import free_port

READY_SECONDS = 60.0
STOP_SECONDS = 40.0


class Gateway:
    """A running gateway: its addresses, its configuration file, its processes and its logs."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int, admin_port: int) -> None:
        self.folder = folder
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        self._admin_port = admin_port

    @property
    def file(self) -> Path:
        return self.folder / "gateway.yaml"

    def write(self, config: Mapping[str, Any]) -> None:
        """Replaces the configuration in one step, as editors and tools do."""
        text = yaml.safe_dump(with_addresses(config, self.port, self._admin_port))
        fresh = self.folder / "gateway.yaml.new"
        fresh.write_text(text)
        fresh.rename(self.file)

    def client(self, **options: Any) -> httpx.Client:
        """Of plain HTTP: to read the certificates of all authorities first takes longer than most tests."""
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False, verify=False, **options)

    def log(self, name: str) -> str:
        file = self.folder / "state" / "logs" / f"{name}.log"
        return file.read_text() if file.exists() else ""

    def access_log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log("access").splitlines()]

    def logged(self, request_id: str) -> dict[str, Any]:
        """The row of a request; it is written when the stream has ended."""
        return until(lambda: next((row for row in self.access_log() if row["request_id"] == request_id), None))

    def admin_token(self) -> str:
        return (self.folder / "state" / "admin-token").read_text().strip()

    def status(self) -> dict[str, Any]:
        response = httpx.get(
            f"{self.admin_url}/status",
            headers={"authorization": f"Bearer {self.admin_token()}"},
            trust_env=False,
            verify=False,
        )
        response.raise_for_status()
        return response.json()

    def pid_of(self, word: str) -> int:
        """The child of the supervisor whose command line holds this word."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                command = (stat.parent / "cmdline").read_bytes().decode().split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            # Valkey rewrites its command line into one string
            named = any(part == word or part.endswith(f"/{word}") or f"/{word} " in part for part in command)
            if parent == self.process.pid and named:
                return int(stat.parent.name)
        raise LookupError(word)

    def kill(self, word: str) -> int:
        """SIGKILLs one of the gateway's processes; returns the pid it had."""
        pid = self.pid_of(word)
        os.kill(pid, signal.SIGKILL)
        return pid


@contextmanager
def running_gateway(
    config: Mapping[str, Any], environ: Mapping[str, str] | None = None, *, whole: bool = False
) -> Iterator[Gateway]:
    """A gateway on a file with this configuration; with every process, or without one that it does not need."""

    def write(folder: Path, port: int, admin_port: int) -> Path:
        (folder / "gateway.yaml").write_text(yaml.safe_dump(with_addresses(config, port, admin_port)))
        return folder / "gateway.yaml"

    with gateway_on(write, environ, whole=whole) as gateway:
        yield gateway


def _of_models(config: Path) -> bool:
    """Whether it may need the translator, which is a process more to wait for."""
    files = [config] if config.is_file() else sorted(config.glob("*.yaml"))
    return any(word in file.read_text() for file in files for word in ("models:", "discovery:"))


@contextmanager
def gateway_on(
    write: Callable[[Path, int, int], Path | None],
    environ: Mapping[str, str] | None = None,
    *,
    up: Callable[[Gateway], bool] | None = None,
    whole: bool = False,
) -> Iterator[Gateway]:
    """Starts a gateway on what is written, or without a CONFIG, and stops it as Ctrl-C would; fails with its output
    where it does not become ready, or is not `up` by another measure.
    """
    folder = Path(tempfile.mkdtemp(prefix="tollgate-"))  # short: socket paths have a limit
    port, admin_port = free_port(), free_port()
    config = write(folder, port, admin_port)
    output = (folder / "output").open("wb")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tollgate_cli",
            "run",
            *([] if config is None else [str(config)]),
            "--state-dir",
            str(folder / "state"),
            *([] if whole or config is None or _of_models(config) else ["--no-translator"]),
        ],
        stdout=output,
        stderr=subprocess.STDOUT,
        env={
            **os.environ,
            "TOLLGATE_ENVOY": str(envoy_binary()),
            "GATEWAY_PORT": str(port),
            "OBSERVABILITY_PORT": str(admin_port),
            **(environ or {}),
        },
    )
    try:
        gateway = Gateway(folder, process, port, admin_port)
        until(lambda: (up or _ready)(gateway), seconds=READY_SECONDS)
        yield gateway
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        finally:
            process.kill()
            process.wait()
            output.close()
            shutil.rmtree(folder)


def with_addresses(config: Mapping[str, Any], port: int, admin_port: int) -> dict[str, Any]:
    """The configuration on this test's ports."""
    return {
        "version": 1,
        "admin": {"address": f"127.0.0.1:{admin_port}"},
        "listeners": {"public": {"address": f"127.0.0.1:{port}"}},
        **config,
    }


def _ready(gateway: Gateway) -> bool:
    output = (gateway.folder / "output").read_text()
    assert gateway.process.poll() is None, output
    return output.startswith("ready") or "\nready" in output
