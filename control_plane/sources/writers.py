"""Whether somebody has a file open for writing, as far as the kernel tells.

Linux grants a read lease on a file only while nobody has it open for writing (fcntl(2), F_SETLEASE); it is given back
at once. It grants none on the files of other users, nor on some file systems, and a few of these refuse with the same
error: so a refusal counts only where a lease was granted before.
"""

import errno
import fcntl
import os
import signal
from collections.abc import Iterable
from pathlib import Path


class Writers:
    """Remembers on which devices leases are granted."""

    def __init__(self) -> None:
        self._devices: set[int] = set()

    def write_to(self, files: Iterable[Path]) -> bool:
        """Whether one of the files is open for writing."""
        return any(self._writes_to(file) is True for file in files)

    def have_left(self, files: Iterable[Path]) -> bool:
        """Whether the kernel told of each of the files that nobody has it open for writing."""
        return all(self._writes_to(file) is False for file in files)

    def _writes_to(self, file: Path) -> bool | None:
        """Whether the file is open for writing; None where that cannot be told."""
        try:
            if not file.is_file():
                return None
            descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            refused = _is_refused(descriptor)
            device = os.fstat(descriptor).st_dev
        except OSError:
            return None
        finally:
            os.close(descriptor)
        if not refused:
            self._devices.add(device)
        return refused if device in self._devices else None


def _is_refused(descriptor: int) -> bool:
    """Whether the lease is refused because of a writer; OSError where there are no leases."""
    # Who opens the file for writing in this moment waits for the lease's end, and the kernel signals us: SIGIO would
    # end the process, SIGURG is ignored.
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return True
        raise
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
