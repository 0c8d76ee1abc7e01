"""The control plane as a process: reads the configuration, serves it over xDS, and shows how it is."""

import asyncio
import random
import secrets
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from control_plane.admin.app import Admin, admin_app
from control_plane.admin.calls import Served
from control_plane.admin.http import operations_routes
from control_plane.admin.identities import SIGNING_KEYS, identities_routes, identities_rpc
from control_plane.admin.models import models_routes, models_rpc
from control_plane.admin.quotas import quotas_routes, quotas_rpc
from control_plane.admin.rpc import admin_rpc, by_token_or_socket
from control_plane.admin.token import stored_token
from control_plane.audit import Trail
from control_plane.compile import Compiler
from control_plane.config.errors import InvalidConfig
from control_plane.config.model import Config
from control_plane.discovery.asking import listed_models
from control_plane.discovery.discovery import DiscoveredModels
from control_plane.discovery.kept import kept_models
from control_plane.endpoints.source import KubernetesApi
from control_plane.endpoints.watcher import EndpointWatcher
from control_plane.feedback.rpc import feedback_rpc
from control_plane.gate.gate import Gate
from control_plane.history.history import FILE_NAME, History
from control_plane.history.record import Record
from control_plane.ir.model import Secret
from control_plane.key_sets.documents import PublishedDocuments
from control_plane.key_sets.fetched import FetchedKeySets
from control_plane.key_sets.kept import kept_sets
from control_plane.keys.distribution import Distribution
from control_plane.keys.errors import StoreUnusable
from control_plane.keys.stored import StoredIdentities
from control_plane.live.configuration import LiveConfiguration
from control_plane.live.outside import Outside
from control_plane.live.status import EndpointsMoved, KeySetsChanged, ModelsChanged, News
from control_plane.operations.identities import IdentityOperations
from control_plane.operations.models import ModelOperations
from control_plane.operations.operating import LiveOperations
from control_plane.operations.quotas import LONGEST_CALL, QuotaOperations
from control_plane.operations.quotas import SERVICE as QUOTAS
from control_plane.operations.tokens import TokenOperations
from control_plane.publication.publisher import START_SECONDS, Publisher
from control_plane.reader import Reader
from control_plane.server.ads import Ads
from control_plane.server.csds import csds_rpc
from control_plane.server.transport import XdsServer, xds_server
from control_plane.settings import Settings, settings
from control_plane.sources.files import FileSource
from control_plane.xds.wiring import Wiring
from service_kit.audit import GATEWAY, AuditFile, By
from service_kit.clock import Clock, SystemClock
from service_kit.credentials import Certificates, certificates
from service_kit.endpoint import UnixEndpoint
from service_kit.health import Health
from service_kit.http import HttpServer
from service_kit.log import Logger, configure_logs
from service_kit.metrics import process_registry
from service_kit.peer_calls import PeerCalls
from service_kit.serve import run, until_stopped
from service_kit.settings import environment

NAME = "control_plane"


@dataclass(frozen=True)
class Parts:
    """What decides and what serves, tied together."""

    wiring: Wiring
    ads: Ads
    publisher: Publisher
    endpoints: EndpointWatcher
    key_sets: FetchedKeySets
    models: DiscoveredModels
    stored: StoredIdentities
    history: History
    record: Record
    trail: Trail
    live: LiveConfiguration

    def lacking(self) -> Iterator[str]:
        """What the gateway waits for, in sentences that everybody may read."""
        if self.key_sets.lacking():
            yield "the keys of an issuer were never fetched"
        yield from self.models.unready()

    def troubles(self) -> Iterator[str]:
        """What is not as it should be with what others publish."""
        yield from self.key_sets.troubles()
        yield from self.models.troubles()


def parts(
    chosen: Settings, environ: Mapping[str, str], clock: Clock, log: Logger, registry: CollectorRegistry
) -> Parts:
    """The parts of a control plane; nothing of them runs yet."""
    ads = Ads(clock=clock, log=log, registry=registry)
    news = News()
    publisher = Publisher(ads, clock, log, judged=news.put_nowait, start=START_SECONDS)
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
    trail = Trail(
        AuditFile(chosen.audit_log), clock=clock, log=log, registry=registry, random_bytes=secrets.token_bytes
    )
    stored = _stored(chosen, ads, trail, clock, log, registry)
    wiring = replace(chosen.wiring, key_pepper=lambda: Secret(stored.kept_pepper()))
    compiler = Compiler(wiring)
    key_sets = _key_sets(chosen, news, clock, log, registry)
    models = _models(chosen, news, clock, log, registry)
    reader = Reader(chosen.config, environ, compiler, key_sets.sets, models.found)
    gate = Gate(compiler, chosen.envoy_binary, reader.place, clock)
    outside = Outside(reader, endpoints, key_sets, models, stored)
    live = LiveConfiguration(gate, publisher, news, outside, record, trail, log=log, clock=clock, registry=registry)
    return Parts(wiring, ads, publisher, endpoints, key_sets, models, stored, history, record, trail, live)


def _key_sets(chosen: Settings, news: News, clock: Clock, log: Logger, registry: CollectorRegistry) -> FetchedKeySets:
    return FetchedKeySets(
        PublishedDocuments(),
        kept_sets(chosen.state_dir),
        clock=clock,
        log=log,
        registry=registry,
        random=random.random,
        changed=lambda: news.put_nowait(KeySetsChanged()),
    )


def _models(chosen: Settings, news: News, clock: Clock, log: Logger, registry: CollectorRegistry) -> DiscoveredModels:
    return DiscoveredModels(
        listed_models,
        kept_models(chosen.state_dir),
        clock=clock,
        log=log,
        registry=registry,
        random=random.random,
        changed=lambda: news.put_nowait(ModelsChanged()),
    )


def _stored(
    chosen: Settings, ads: Ads, trail: Trail, clock: Clock, log: Logger, registry: CollectorRegistry
) -> StoredIdentities:
    def turned(kids: Sequence[str]) -> None:
        trail.note(By(GATEWAY, "control plane"), "signing_keys.rotate", SIGNING_KEYS, new={"made": list(kids)})

    return StoredIdentities(
        Distribution(ads, clock, registry),
        chosen.state_dir,
        clock=clock,
        log=log,
        random_bytes=secrets.token_bytes,
        issues_tokens=chosen.wiring.oauth is not None,
        turned=turned,
    )


@dataclass(frozen=True)
class _Operators:
    """What operators may ask: over gRPC beside xDS, and over HTTP on the observability port."""

    services: tuple[grpc.GenericRpcHandler, ...]
    app: Starlette


def _for_operators(
    made: Parts, chosen: Settings, limiter: PeerCalls, clock: Clock, log: Logger, registry: CollectorRegistry
) -> _Operators:
    """Once a configuration is live."""

    def config() -> Config:
        return made.live.current.loaded.config

    def token() -> str:
        return admin.token

    generated = stored_token(chosen.state_dir)
    admin = Admin(lambda: config().admin, made.ads, registry, chosen.targets, generated, made.lacking)
    on_tokens = TokenOperations(made.stored, config, clock, random_bytes=secrets.token_bytes)
    keys = Served(IdentityOperations(made.stored, on_tokens, clock, registry), token, made.trail)
    quotas = Served(QuotaOperations(limiter, config, made.stored, log), token, made.trail)
    models = Served(ModelOperations(lambda: made.live.current, made.models.states), token, made.trail)
    operations = LiveOperations(
        made.live, made.record, made.ads, made.wiring, made.troubles, made.stored, made.models.states
    )
    return _Operators(
        services=(
            admin_rpc(operations, token, made.trail),
            identities_rpc(keys),
            quotas_rpc(quotas),
            models_rpc(models),
            csds_rpc(made.ads, by_token_or_socket(token)),
        ),
        app=admin_app(
            admin,
            (
                *operations_routes(operations, token, made.trail),
                *identities_routes(keys),
                *quotas_routes(quotas),
                *models_routes(models),
            ),
        ),
    )


def _server(
    made: Parts, operators: _Operators, chosen: Settings, tls: Certificates | None, health: Health
) -> XdsServer:
    return xds_server(
        made.ads,
        chosen.xds,
        tls,
        health,
        connection_age=chosen.connection_age,
        services=operators.services,
        feedback=feedback_rpc(made.stored.note_uses, made.key_sets.refresh),
    )


def _limiter(chosen: Settings, tls: Certificates | None) -> PeerCalls:
    """The rate-limit service, which has the quotas."""
    secured = None if isinstance(chosen.ratelimit_admin, UnixEndpoint) else tls
    return PeerCalls(QUOTAS, chosen.ratelimit_admin, secured, longest=LONGEST_CALL)


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
        stack.push_async_callback(made.trail.close)
        stack.push_async_callback(made.stored.close)
        await made.trail.begin()
        # the first configuration waits for its first endpoints, key sets and models
        following = [asyncio.create_task(item.run()) for item in (made.endpoints, made.key_sets, made.models)]
        await live.start()
        tls = None if chosen.tls is None else certificates(chosen.tls, log, registry)
        limiter = _limiter(chosen, tls)
        stack.push_async_callback(limiter.close)
        operators = _for_operators(made, chosen, limiter, clock, log, registry)
        server = _server(made, operators, chosen, tls, health)
        http = HttpServer(operators.app, live.current.admin_address)
        await server.start()
        stack.push_async_callback(server.stop)
        await health.serving()
        log.info("serving", xds=str(chosen.xds), admin=str(live.current.admin_address))

        work = (
            made.publisher.run(),
            live.run(),
            http.serve(),
            made.stored.run(),
            made.trail.run(),
            *map(_lasting, following),
        )
        await until_stopped(*work, *_followed(chosen.config, live))
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
    except StoreUnusable as error:
        raise SystemExit(f"error: {error}") from error
