"""The control plane as a process: reads the configuration, serves it over xDS, and shows how it is."""

import asyncio
import random
import sys
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from control_plane.admin.app import Admin, admin_app
from control_plane.admin.http import operations_routes
from control_plane.admin.rpc import admin_rpc, by_token_or_socket
from control_plane.admin.token import stored_token
from control_plane.compile import Compiler
from control_plane.config.errors import InvalidConfig
from control_plane.endpoints.source import KubernetesApi
from control_plane.endpoints.watcher import EndpointWatcher
from control_plane.gate.gate import Gate
from control_plane.history.history import FILE_NAME, History
from control_plane.history.record import Record
from control_plane.live.configuration import LiveConfiguration
from control_plane.live.status import EndpointsMoved, News
from control_plane.operations.operating import LiveOperations
from control_plane.publication.publisher import Publisher
from control_plane.reader import Reader
from control_plane.server.ads import Ads
from control_plane.server.csds import csds_rpc
from control_plane.server.transport import xds_server
from control_plane.settings import Settings, settings
from control_plane.sources.files import FileSource
from service_kit.clock import Clock, SystemClock
from service_kit.credentials import certificates
from service_kit.health import Health
from service_kit.http import HttpServer
from service_kit.log import Logger, configure_logs
from service_kit.metrics import process_registry
from service_kit.serve import run, until_stopped
from service_kit.settings import environment

NAME = "control_plane"


@dataclass(frozen=True)
class Parts:
    """What decides and what serves, tied together."""

    ads: Ads
    publisher: Publisher
    endpoints: EndpointWatcher
    history: History
    record: Record
    live: LiveConfiguration


def parts(
    chosen: Settings, environ: Mapping[str, str], clock: Clock, log: Logger, registry: CollectorRegistry
) -> Parts:
    """The parts of a control plane; nothing of them runs yet."""
    ads = Ads(clock=clock, log=log, registry=registry)
    news = News()
    publisher = Publisher(ads, clock, log, judged=news.put_nowait)
    endpoints = EndpointWatcher(
        KubernetesApi(chosen.kubeconfig),
        clock=clock,
        log=log,
        registry=registry,
        random=random.random,
        changed=lambda _: news.put_nowait(EndpointsMoved()),
    )
    history = History(chosen.state_dir / FILE_NAME, clock=clock, warn=log.warning)
    record = Record(history, log=log, registry=registry)
    compiler = Compiler(chosen.wiring)
    reader = Reader(chosen.config, environ, compiler)
    gate = Gate(compiler, chosen.envoy_binary, reader.place, clock)
    live = LiveConfiguration(reader, gate, publisher, news, endpoints, record, log=log, clock=clock, registry=registry)
    return Parts(ads, publisher, endpoints, history, record, live)


async def serve(chosen: Settings, environ: Mapping[str, str]) -> None:
    """Serves until SIGTERM or SIGINT. A configuration that is invalid at the start is an error: nothing runs yet."""
    log = configure_logs(NAME, level=chosen.log_level)
    chosen.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    clock, registry, health = SystemClock(), process_registry(), Health(NAME)
    await health.start()
    made = parts(chosen, environ, clock, log, registry)
    live = made.live
    async with AsyncExitStack() as stack:
        stack.callback(made.history.close)
        following = asyncio.create_task(made.endpoints.run())  # the first configuration waits for its first endpoints
        await live.start()
        admin = Admin(
            lambda: live.current.loaded.config.admin, made.ads, registry, chosen.targets, stored_token(chosen.state_dir)
        )
        operations = LiveOperations(live, made.record, made.ads, chosen.wiring)
        services = (
            admin_rpc(operations, lambda: admin.token),
            csds_rpc(made.ads, by_token_or_socket(lambda: admin.token)),
        )
        tls = None if chosen.tls is None else certificates(chosen.tls, log, registry)
        server = xds_server(made.ads, chosen.xds, tls, health, connection_age=chosen.connection_age, services=services)
        http = HttpServer(
            admin_app(admin, operations_routes(operations, lambda: admin.token)), live.current.admin_address
        )
        await server.start()
        stack.push_async_callback(server.stop)
        await health.serving()
        log.info("serving", xds=str(chosen.xds), admin=str(live.current.admin_address))

        work = (made.publisher.run(), live.run(), http.serve(), _lasting(following), *_followed(chosen.config, live))
        await until_stopped(*work)
        log.info("stopping")
        await health.stopping()


async def _lasting(task: asyncio.Task[None]) -> None:
    await task


def _followed(path: Path | None, live: LiveConfiguration) -> Iterator[Coroutine[None, None, None]]:
    """The task that follows the files; an environment does not change."""
    if path is not None:
        yield _follow(path, live)


async def _follow(path: Path, live: LiveConfiguration) -> None:
    """Reloads on each change of the configuration or of a file it refers to."""
    source = FileSource(path)
    source.watch(live.files)
    async for _ in source.changes():
        await live.reload()
        source.watch(live.files)


def main() -> None:
    environ = environment()
    try:
        run(serve(settings(sys.argv[1:], environ), environ))
    except InvalidConfig as error:
        raise SystemExit(str(error)) from error
