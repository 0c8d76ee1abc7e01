"""A live configuration whose publisher and consumers are the test's."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from control_plane.audit import Trail
from control_plane.compile import Compiler
from control_plane.discovery.asking import listed_models
from control_plane.discovery.discovery import Ask, DiscoveredModels
from control_plane.discovery.kept import kept_models
from control_plane.endpoints.source import KubernetesApi
from control_plane.endpoints.watcher import EndpointWatcher
from control_plane.gate.gate import Gate
from control_plane.history.history import FILE_NAME, History
from control_plane.history.record import Record
from control_plane.key_sets.documents import Documents, PublishedDocuments
from control_plane.key_sets.fetched import FetchedKeySets
from control_plane.key_sets.kept import kept_sets
from control_plane.keys.distribution import Distribution
from control_plane.keys.stored import StoredIdentities
from control_plane.live.configuration import LiveConfiguration
from control_plane.live.outside import Outside
from control_plane.live.status import EndpointsMoved, KeySetsChanged, ModelsChanged, News
from control_plane.publication.outcome import NodeRefusal
from control_plane.publication.publisher import Publisher
from control_plane.reader import Reader
from control_plane.server.ads import Ads
from control_plane.server.status import Refusal
from control_plane.snapshot import Release
from control_plane.xds.names import ROUTES_TYPE
from service_kit.clock import Clock
from service_kit.log import Logger, configure_logs
from tests.support.audit import audit_trail
from tests.support.clock import StillClock
from tests.support.compiled import WIRING, written


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
    documents: Documents | None = None,
    ask: Ask | None = None,
    trail: Trail | None = None,
) -> tuple[LiveConfiguration, News]:
    """The configuration of this file, and where what happens to it is put; its history is beside the file."""
    compiler = Compiler(WIRING)
    news = News()
    state = state or file.parent
    key_sets = FetchedKeySets(
        documents or PublishedDocuments(), kept_sets(state), clock=clock, log=log, registry=registry,
        random=lambda: 0.5, changed=lambda: news.put_nowait(KeySetsChanged()),
    )  # fmt: skip
    models = DiscoveredModels(
        ask or listed_models, kept_models(state), clock=clock, log=log, registry=registry,
        random=lambda: 0.5, changed=lambda: news.put_nowait(ModelsChanged()), look=0.01,
    )  # fmt: skip
    reader = Reader(file, environ or {}, compiler, key_sets.sets, models.found)
    endpoints = EndpointWatcher(
        KubernetesApi(None), clock=clock, log=log, registry=registry, random=lambda: 0.5,
        changed=lambda _: news.put_nowait(EndpointsMoved()),
    )  # fmt: skip
    history = History(state / FILE_NAME, clock=clock, warn=log.warning)
    record = Record(history, log=log, registry=registry)
    gate = Gate(compiler, envoy, reader.place, clock)
    ads = Ads(clock=clock, log=log, registry=registry)
    stored = StoredIdentities(
        Distribution(ads, clock, registry), state, clock=clock, log=log, random_bytes=secrets.token_bytes
    )
    outside = Outside(reader, endpoints, key_sets, models, stored)
    trail = trail or audit_trail(clock=clock)
    live = LiveConfiguration(gate, publisher, news, outside, record, trail, log=log, clock=clock, registry=registry)
    return live, news


class Published:
    """Stands where the publisher does and keeps what it is given."""

    def __init__(self) -> None:
        self.releases: list[Release] = []
        self.earlier: Release | None = None
        self.broken: Exception | None = None

    def begin_beside(self, earlier: Release) -> None:
        self.earlier = earlier

    def publish(self, release: Release) -> None:
        if self.broken:
            raise self.broken
        self.releases.append(release)

    @property
    def routes(self) -> list[str]:
        return [release.envoy.version(ROUTES_TYPE) for release in self.releases]


@dataclass(frozen=True)
class World:
    live: LiveConfiguration
    folder: Path
    published: Published
    registry: CollectorRegistry
    clock: StillClock
    logs: StringIO
    news: News

    def write(self, content: Any) -> None:
        written(self.folder, content)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    @property
    def route_names(self) -> list[str]:
        return [item.name for item in self.live.current.gateway.routes]


def world(
    folder: Path,
    content: Any,
    envoy: Path | None = None,
    documents: Documents | None = None,
    trail: Trail | None = None,
    ask: Ask | None = None,
) -> World:
    file, published, registry, clock, logs = (
        written(folder, content), Published(), CollectorRegistry(), StillClock(), StringIO(),
    )  # fmt: skip
    log = configure_logs("control_plane", stream=logs)
    live, news = live_configuration(
        file, published, log=log, clock=clock, registry=registry, envoy=envoy, documents=documents, trail=trail, ask=ask
    )
    return World(live, folder, published, registry, clock, logs, news)


@asynccontextmanager
async def hearing(live: LiveConfiguration) -> AsyncIterator[None]:
    """Takes what consumers say, as long as the test lasts."""
    task = asyncio.create_task(live.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def refusal(type_url: str, message: str, *names: str) -> NodeRefusal:
    return NodeRefusal("node-1", "", Refusal(type_url, "a-version", "a-nonce", message, 0.0, names))
