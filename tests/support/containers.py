"""The container engine of this machine, by its command line."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support.ports import free_ports_prefix

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = ROOT / "tests" / "containers" / "stand_in.py"
# What every deployment of ours asks of the engine.
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
HEALTHY_WITHIN = 90.0


def no_engine() -> str | None:
    """Why no container can be run here; None where it can."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    asked = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
    return None if asked.returncode == 0 else asked.stderr.strip() or "the engine does not answer"


def docker(*arguments: object, check: bool = True, environ: Mapping[str, str] | None = None) -> str:
    """What the command prints; an assertion error with what it complains of where it fails."""
    done = subprocess.run(
        ["docker", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environ or {})},
    )
    assert not check or done.returncode == 0, f"docker {arguments}: {done.stdout}{done.stderr}"
    return (done.stdout + done.stderr).strip()


def two_ports() -> tuple[int, int]:
    """Ports for a gateway and its observability, below those that the kernel hands out meanwhile."""
    prefix = free_ports_prefix()
    return int(f"{prefix}01"), int(f"{prefix}02")


def succeeds(*arguments: object) -> bool:
    return subprocess.run(["docker", *map(str, arguments)], capture_output=True, check=False).returncode == 0


def unique(name: str) -> str:
    return f"tollgate-test-{name}-{uuid4().hex[:8]}"


@contextmanager
def network() -> Iterator[str]:
    name = unique("net")
    docker("network", "create", name)
    try:
        yield name
    finally:
        docker("network", "rm", name)


@contextmanager
def container(image: str, *command: str, options: tuple[object, ...] = (), name: str | None = None) -> Iterator[str]:
    """A running container by its name; it is removed with its volumes."""
    name = name or unique("container")
    try:
        docker("run", "--detach", "--name", name, *options, image, *command)
        yield name
    finally:
        docker("rm", "--force", "--volumes", name, check=False)


def inspected(name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(docker("inspect", name))
    return found[0]


def wait_until_healthy(name: str) -> float:
    """Seconds it took; an assertion error with its logs where it does not become healthy."""
    started = time.monotonic()
    while (health := inspected(name)["State"]["Health"]["Status"]) != "healthy":
        assert time.monotonic() - started < HEALTHY_WITHIN, f"{name} is {health}: {docker('logs', name)}"
        time.sleep(0.2)
    return time.monotonic() - started
