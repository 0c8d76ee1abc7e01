"""One supervisor a state directory: two stores on one append-only file would destroy it.

Errors: StateDirInUse
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from tollgate_cli.supervisor.layout import Layout

SUPERVISOR = "supervisor"


class StateDirInUse(Exception):  # noqa: N818 - reads as what it reports
    """Another process works on the state directory."""

    def __init__(self, place: Layout, holder: str) -> None:
        who = f" by process {holder}" if holder else ""
        super().__init__(f"{place.root} is in use{who}: stop it, or choose another --state-dir")


@contextmanager
def supervisor_lock(place: Layout) -> Iterator[None]:
    """Holds the state directory alone."""
    descriptor = _locked(place, SUPERVISOR, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def lock_for_exec(place: Layout, process: str) -> None:
    """Keeps supervisors and a second process of this name away, for as long as the program exec'd next lives."""
    os.set_inheritable(_locked(place, SUPERVISOR, fcntl.LOCK_SH), True)  # noqa: FBT003 - the standard library's form
    os.set_inheritable(_locked(place, process, fcntl.LOCK_EX), True)  # noqa: FBT003 - the standard library's form


def _locked(place: Layout, name: str, mode: int) -> int:
    descriptor = os.open(place.lock(name), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise StateDirInUse(place, holder) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
