"""The control plane as a process: reads the configuration, serves it over xDS, and shows how it is."""

import asyncio
import random
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from control_plane.admin.app import Admin, admin_app
from control_plane.admin.gather import ENVOY, Target
from control_plane.admin.http import operations_routes
from control_plane.admin.rpc import admin_rpc, by_token_or_socket
from control_plane.admin.token import stored_token
from control_plane.compile import Compiler
from control_plane.config.errors import InvalidConfig
from control_plane.config.values.base import Mistake
from control_plane.config.values.quantities import LONGEST_DURATION, duration
from control_plane.endpoints.source import KubernetesApi
from control_plane.endpoints.watcher import EndpointWatcher
from control_plane.gate.gate import Gate
from control_plane.history.history import FILE_NAME, History
from control_plane.live import EndpointsMoved, LiveConfiguration, News
from control_plane.operating import LiveOperations
from control_plane.publisher import Publisher
from control_plane.reader import Reader
from control_plane.record import Record
from control_plane.server.ads import Ads
from control_plane.server.csds import csds_rpc
from control_plane.server.transport import xds_server
from control_plane.sources.files import FileSource
from control_plane.xds.wiring import Wiring
from service_kit.clock import SystemClock
from service_kit.credentials import certificates
from service_kit.endpoint import Endpoint, TcpEndpoint
from service_kit.health import Health
from service_kit.http import HttpServer
from service_kit.log import configure_logs
from service_kit.metrics import process_registry
from service_kit.serve import run, until_stopped
from service_kit.settings import SettingsParser, TlsFiles, environment

NAME = "control_plane"
SHORTEST_AGE = 1.0


@dataclass(frozen=True)
class Settings:
    """Where the configuration is, where the others are, and where this process keeps its state."""

    config: Path | None
    xds: Endpoint
    tls: TlsFiles | None
    connection_age: float | None
    state_dir: Path
    wiring: Wiring
    targets: tuple[Target, ...]
    envoy_binary: Path | None
    kubeconfig: Path | None
    log_level: str


def settings(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """The settings of the command line and the environment; exits with 2 where they are wrong."""
    parser = SettingsParser(prog="control_plane", description="Tollgate's xDS control plane", environ=environ)
    parser.add_argument(
        "config", type=Path, nargs="?", help="the configuration, a file or a directory; without it the environment's"
    )
    parser.setting("--xds", help="address of the xDS server")
    parser.setting(
        "--max-connection-age",
        help="duration after which xDS connections end, so that clients spread over replicas; 0 for never; "
        "without it 30m over TCP, never on a Unix socket",
    )
    parser.setting("--state-dir", help="directory for the admin token", default=".tollgate")
    parser.setting("--authz", help="address of the authorizer, as Envoy reaches it")
    parser.setting("--ratelimit", help="address of the rate-limit service, as Envoy reaches it")
    parser.setting("--access-log", help="file that Envoy writes its access log to", default="/dev/stdout")
    parser.setting("--envoy-admin", help="address of Envoy's admin interface, for its metrics")
    parser.add_argument(
        "--scrape", action="append", default=[], metavar="NAME=ADDRESS", help="a process whose metrics are gathered"
    )
    parser.setting("--envoy-binary", help="Envoy binary that validates a change before it is published")
    parser.setting(
        "--kubeconfig", help="file with the access to Kubernetes, for upstreams there; without it that of the pod"
    )
    parser.setting("--log-level", help="debug, info, warning or error", default="info")
    parser.add_tls_settings()
    options = parser.parse_args(argv)
    tls = parser.tls(options)
    return Settings(
        config=options.config,
        xds=parser.endpoint(options.xds, "--xds"),
        tls=tls,
        connection_age=_connection_age(parser, options.max_connection_age),
        state_dir=Path(options.state_dir),
        wiring=Wiring(
            authz=_service_endpoint(parser, options.authz, "--authz", tls),
            ratelimit=_service_endpoint(parser, options.ratelimit, "--ratelimit", tls),
            access_log=options.access_log,
            tls=tls,
        ),
        targets=_targets(parser, options.scrape, options.envoy_admin),
        envoy_binary=Path(options.envoy_binary) if options.envoy_binary else None,
        kubeconfig=Path(options.kubeconfig) if options.kubeconfig else None,
        log_level=parser.log_level(options.log_level),
    )


def _connection_age(parser: SettingsParser, text: str | None) -> float | None:
    if not text:
        return None
    try:
        age = 0.0 if text == "0" else duration(text)
    except Mistake as mistake:
        parser.error(f"--max-connection-age: {mistake}; {mistake.cure}, or 0 for never")
    if age and not SHORTEST_AGE <= age <= LONGEST_DURATION:
        parser.error(f"--max-connection-age: {text!r} is out of range; write 1s to 1d, or 0 for never")
    return age


def _service_endpoint(parser: SettingsParser, text: str | None, flag: str, tls: TlsFiles | None) -> Endpoint:
    endpoint = parser.endpoint(text, flag)
    if isinstance(endpoint, TcpEndpoint) and tls is None:
        parser.error(
            f"{flag} {endpoint}: requests would carry credentials in the clear; give --tls-certificate, "
            "--tls-private-key and --tls-authority (Envoy reads them at the same paths), or unix:/path/to.sock"
        )
    return endpoint


def _targets(parser: SettingsParser, scrapes: Sequence[str], envoy_admin: str | None) -> tuple[Target, ...]:
    targets = []
    for scrape in scrapes:
        process, _, address = scrape.partition("=")
        targets.append(Target(process, parser.endpoint(address, "--scrape NAME=ADDRESS")))
    if envoy := parser.optional_endpoint(envoy_admin, "--envoy-admin"):
        targets.append(Target(ENVOY, envoy, "/stats/prometheus"))
    return tuple(targets)


async def serve(chosen: Settings, environ: Mapping[str, str]) -> None:
    """Serves until SIGTERM or SIGINT. A configuration that is invalid at the start is an error: nothing runs yet."""
    log = configure_logs(NAME, level=chosen.log_level)
    chosen.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    clock, registry, health = SystemClock(), process_registry(), Health(NAME)
    await health.start()
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
    record = Record(History(chosen.state_dir / FILE_NAME, clock=clock, warn=log.warning), log=log, registry=registry)
    compiler = Compiler(chosen.wiring)
    reader = Reader(chosen.config, environ, compiler)
    gate = Gate(compiler, chosen.envoy_binary, reader.place)
    live = LiveConfiguration(reader, gate, publisher, news, endpoints, record, log=log, clock=clock, registry=registry)
    following = asyncio.create_task(endpoints.run())  # the first configuration waits for its first endpoints
    await live.start()
    operations = LiveOperations(live, record, ads, chosen.wiring)
    admin = Admin(
        lambda: live.current.loaded.config.admin, ads, registry, chosen.targets, stored_token(chosen.state_dir)
    )
    services = (
        admin_rpc(operations, lambda: admin.token),
        csds_rpc(ads, by_token_or_socket(lambda: admin.token)),
    )
    async with AsyncExitStack() as stack:
        tls = None if chosen.tls is None else certificates(chosen.tls, log, registry)
        server = xds_server(ads, chosen.xds, tls, health, connection_age=chosen.connection_age, services=services)
        http = HttpServer(
            admin_app(admin, operations_routes(operations, lambda: admin.token)), live.current.admin_address
        )
        await server.start()
        stack.push_async_callback(server.stop)
        await health.serving()
        log.info("serving", xds=str(chosen.xds), admin=str(live.current.admin_address))

        work = (publisher.run(), live.run(), http.serve(), _lasting(following), *_followed(chosen.config, live))
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
