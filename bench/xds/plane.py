"""The control plane as a process of its own on a corpus, as `tollgate run` starts it, and Envoy behind a tap."""

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from bench.envoys import running_envoy
from bench.load import LoadFailed
from bench.processes import running_process
from bench.xds.corpus import Corpus, Shape
from bench.xds.tap import Tap, tap
from service_kit.clock import Clock
from service_kit.endpoint import unix_endpoint
from service_kit.settings import environment
from tests.support.ports import free_port
from tollgate_cli.supervisor import processes
from tollgate_cli.supervisor.envoy import bootstrap, envoy_binary
from tollgate_cli.supervisor.layout import create, layout

START_SECONDS = 60.0
POLL_SECONDS = 0.02
HEAP_BYTES = 4 << 30
TYPES = 4  # clusters, endpoints, listeners, routes
COUNT = re.compile(r"^(tollgate_\w+)(?:\{.*\})? ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Plane:
    """A control plane that serves a corpus."""

    corpus: Corpus
    folder: Path
    socket: Path
    pid: int
    clock: Clock

    def counts(self) -> dict[str, float]:
        """Its own metrics, summed over their labels."""
        with urlopen(f"http://127.0.0.1:{self.corpus.admin_port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        found: dict[str, float] = {}
        for name, value in COUNT.findall(text):
            found[name] = found.get(name, 0.0) + float(value)
        return found

    def is_acknowledged(self, least: int = 1) -> bool:
        """Whether so many pushes were made, and all of them accepted."""
        counts = self.counts()
        return least <= counts.get("tollgate_xds_acks_total", 0) == counts.get("tollgate_xds_pushes_total", 0)


@contextmanager
def running_plane(shape: Shape, clock: Clock) -> Iterator[Plane]:
    """A control plane that has compiled its corpus and listens; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))  # short: socket paths have a limit
    try:
        corpus = Corpus(folder / "config", shape, free_port(), free_port())
        corpus.write()
        place = layout(folder)
        create(place)
        spec = processes.control_plane(
            processes.Gateway(
                config=corpus.folder,
                layout=place,
                envoy_binary=envoy_binary(environment()),
                environ=environment(),
                control_plane=place.sockets.xds,
            )
        )
        log = folder / "control_plane.log"
        with running_process(spec.command, environ=spec.environ, log=log) as pid:
            _await(place.sockets.xds.path.exists, clock, "the control plane does not listen", log)
            yield Plane(corpus, folder, place.sockets.xds.path, pid, clock)
    finally:
        shutil.rmtree(folder)


@contextmanager
def running_envoy_behind_a_tap(plane: Plane) -> Iterator[Tap]:
    """The real Envoy, once it runs what the control plane has."""
    socket = plane.folder / "run" / "tap.sock"
    file = plane.folder / "run" / "bootstrap.yaml"
    admin = unix_endpoint(plane.folder / "run" / "envoy.sock")
    file.write_text(
        bootstrap(
            control_plane=unix_endpoint(socket), tls=None, admin=admin, node="bench", group="", memory=HEAP_BYTES
        ),
        encoding="utf-8",
    )
    with tap(socket, plane.socket, plane.clock) as found, running_envoy(envoy_binary(environment()), file):
        _await(lambda: plane.is_acknowledged(TYPES), plane.clock, "Envoy does not run the first configuration")
        yield found


def _await(condition: Callable[[], bool], clock: Clock, otherwise: str, log: Path | None = None) -> None:
    deadline = clock.monotonic() + START_SECONDS
    while not condition():
        if clock.monotonic() > deadline:
            raise LoadFailed(f"{otherwise}{f': {log.read_text()[-2000:]}' if log else ''}")
        time.sleep(POLL_SECONDS)
