"""A live configuration whose publisher and consumers are the test's."""

from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry

from control_plane.compile import Compiler
from control_plane.endpoints.source import KubernetesApi
from control_plane.endpoints.watcher import EndpointWatcher
from control_plane.gate.gate import Gate
from control_plane.history.history import FILE_NAME, History
from control_plane.live import EndpointsMoved, LiveConfiguration, News
from control_plane.publisher import Publisher
from control_plane.reader import Reader
from control_plane.record import Record
from service_kit.clock import Clock
from service_kit.log import Logger
from tests.support.compiled import WIRING


def live_configuration(
    file: Path,
    publisher: Publisher,
    *,
    log: Logger,
    clock: Clock,
    registry: CollectorRegistry,
    envoy: Path | None = None,
    environ: Mapping[str, str] | None = None,
    state: Path | None = None,
) -> tuple[LiveConfiguration, News]:
    """The configuration of this file, and where what happens to it is put; its history is beside the file."""
    compiler = Compiler(WIRING)
    reader = Reader(file, environ or {}, compiler)
    news = News()
    endpoints = EndpointWatcher(
        KubernetesApi(None), clock=clock, log=log, registry=registry, random=lambda: 0.5,
        changed=lambda _: news.put_nowait(EndpointsMoved()),
    )  # fmt: skip
    history = History((state or file.parent) / FILE_NAME, clock=clock, warn=log.warning)
    record = Record(history, log=log, registry=registry)
    gate = Gate(compiler, envoy, reader.place)
    live = LiveConfiguration(reader, gate, publisher, news, endpoints, record, log=log, clock=clock, registry=registry)
    return live, news
