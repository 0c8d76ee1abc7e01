"""Becomes another program that dies with its parent: `python leash.py PARENT_PID PROGRAM ARGUMENT...`.

It is run as a file, with the standard library alone: a process of its own, because code between fork and exec
(`preexec_fn`) is unsafe beside gRPC's threads.
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # linux/prctl.h
CONVENTIONAL_NOT_FOUND = 127


def main(argv: Sequence[str]) -> int:
    """Does not return where the program can be started."""
    parent, command = int(argv[0]), list(argv[1:])
    _die_with(parent)
    use_all_files()
    try:
        os.execvp(command[0], command)  # noqa: S606 - a list, no shell
    except OSError as error:
        sys.stderr.write(f"error: cannot start {command[0]}: {error.strerror}\n")
    return CONVENTIONAL_NOT_FOUND


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        raise SystemExit(1)


def use_all_files() -> None:
    """Connections are files: take as many as the machine grants."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
