"""What processes use, as the kernel counts it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024
# CPUCLOCK_SCHED of include/linux/posix-timers.h: the scheduler's own sum for all threads of a process.
_SCHEDULER_CLOCK = 2


class ProcessEnded(Exception):  # noqa: N818 - what happened
    """A process that is measured is gone."""


@dataclass(frozen=True)
class Memory:
    """Bytes in memory: all pages, and each shared one divided by who shares it."""

    rss: int
    pss: int


def cpu_seconds(pid: int) -> float:
    """CPU time of a process up to now, in nanoseconds' steps: /proc/PID/stat has hundredths of a second."""
    try:
        return time.clock_gettime((~pid << 3) | _SCHEDULER_CLOCK)
    except OSError as error:
        raise ProcessEnded(f"process {pid} ended while it was measured") from error


def cpu_of(processes: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in processes.items()}


def memory_of(processes: Mapping[str, int]) -> dict[str, Memory]:
    return {name: _memory(pid) for name, pid in processes.items()}


def children(pid: int) -> dict[str, int]:
    """Processes that this one started, by the name of their program, or of the module that Python runs."""
    listed = " ".join(file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children"))
    return {_program(int(child)): int(child) for child in listed.split()}


def _program(pid: int) -> str:
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    if command[1:2] == ["-m"]:
        return command[2]
    return Path(command[0].partition(" ")[0]).name  # Valkey rewrites its command line into one string


def _memory(pid: int) -> Memory:
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    sizes = {words[0]: int(words[1]) * _KIB for words in lines}
    return Memory(sizes["Rss:"], sizes["Pss:"])
