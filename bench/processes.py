"""Processes of a run, which end with it."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

STOP_SECONDS = 20.0


@contextmanager
def running_process(command: Sequence[str]) -> Iterator[int]:
    """The id of a process; it may not serve yet."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        finally:
            process.kill()
            process.wait()
