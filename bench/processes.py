"""Processes of a run, which end with it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.load import LoadFailed

STOP_SECONDS = 20.0


@contextmanager
def running_process(
    command: Sequence[str], environ: Mapping[str, str] | None = None, log: Path | None = None
) -> Iterator[int]:
    """The id of a process; it may not serve yet. What it prints goes into the log where there is one."""
    with ExitStack() as stack:
        output = None if log is None else stack.enter_context(log.open("wb"))
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environ, stdout=output, stderr=output)
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            finally:
                process.kill()
                process.wait()


def alone(module: str, name: str, what: str, **arguments: object) -> Any:  # Any: JSON
    """What the measurement of this name gives in a new process of this module; LoadFailed says of `what`."""
    command = [sys.executable, "-m", module, name, json.dumps(arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise LoadFailed(f"{name} of {what}: {found.stderr[-2000:]}")
    return json.loads(found.stdout.splitlines()[-1])
