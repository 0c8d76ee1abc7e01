"""Processes of a run, which end with it."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

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
