"""Whether processes are there, and stand-ins for the supervised ones."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service_kit.endpoint import UnixEndpoint
from tollgate_cli.supervisor.processes import Health, ProcessSpec


def runs(pid: int) -> bool:
    """Whether a process of this id runs; one that has ended and waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def python_spec(
    name: str, code: str, *arguments: object, address: UnixEndpoint, health: Health = Health.ACCEPTS
) -> ProcessSpec:
    """A process that runs this code."""
    command = (sys.executable, "-c", code, *map(str, arguments))
    return ProcessSpec(name, command, {"PATH": os.environ["PATH"]}, address, health)


@contextmanager
def python_process(*arguments: object) -> Iterator["subprocess.Popen[bytes]"]:
    """Python with these arguments, which does not outlive the test."""
    process = subprocess.Popen([sys.executable, *map(str, arguments)], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
