"""The swap-in as a process: no control plane, rules from files, plaintext gRPC where Envoy expects the other one."""

import argparse
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ratelimit_service.addresses import StoreAddressError
from ratelimit_service.scripts import Scripts
from ratelimit_service.store import redis_store
from ratelimit_service.store_settings import StoreSettings, store_settings
from ratelimit_service.store_watch import StoreMetrics
from ratelimit_service.swap_in.counting import FixedWindows
from ratelimit_service.swap_in.http import http_app
from ratelimit_service.swap_in.metrics import SwapInMetrics
from ratelimit_service.swap_in.mistakes import InvalidRules
from ratelimit_service.swap_in.rulebook import Rulebook
from ratelimit_service.swap_in.server import SwapInHandler
from ratelimit_service.swap_in.settings import SwapInSettings, swap_in_settings
from service_kit.clock import SystemClock
from service_kit.credentials import certificates
from service_kit.endpoint import Endpoint
from service_kit.health import Health
from service_kit.http import HttpServer
from service_kit.log import Logger, configure_logs
from service_kit.metrics import metrics_app, process_registry
from service_kit.serve import start_server, until_stopped
from service_kit.settings import SettingError, SettingsParser, TlsFiles

NAME: Final = "ratelimit_service"
# Where envoyproxy/ratelimit listens.
LISTEN: Final = "0.0.0.0:8081"
STORE: Final = "redis://127.0.0.1:6379"


@dataclass(frozen=True)
class ProcessSettings:
    """What the process needs to run."""

    config: Path
    listen: Endpoint
    store: StoreSettings
    http: Endpoint | None
    metrics: Endpoint | None
    probe: Endpoint | None
    tls: TlsFiles | None
    log_level: str
    answers: SwapInSettings


def add_swap_in_settings(parser: SettingsParser) -> None:
    # a variable TOLLGATE_CONFIG would be that of the gateway's own configuration
    parser.add_argument("--config", help="directory or file in envoyproxy/ratelimit's format: no control plane then")
    parser.add_argument("--http", help="with --config: address that answers /json and /healthcheck")


def process_settings(
    parser: SettingsParser, options: argparse.Namespace, environ: Mapping[str, str]
) -> ProcessSettings:
    """The settings of a process that was started with `--config`; exits with a message when they cannot be used."""
    try:
        answers = swap_in_settings(environ)
    except SettingError as error:
        parser.error(str(error))
    if options.control_plane:
        parser.error("--control-plane: the rules come from --config: leave one of them out")
    options.store = options.store or STORE
    return ProcessSettings(
        config=Path(options.config),
        listen=parser.endpoint(options.listen or LISTEN, "--listen"),
        store=store_settings(parser, options, environ),
        http=parser.optional_endpoint(options.http, "--http"),
        metrics=parser.optional_endpoint(options.metrics, "--metrics"),
        probe=parser.optional_endpoint(options.probe, "--probe"),
        tls=parser.tls(options),
        log_level=parser.log_level(options.log_level),
        answers=answers,
    )


async def serve_swap_in(settings: ProcessSettings) -> None:
    """Serves until SIGTERM or SIGINT, with the rules that the files hold; exits where they cannot be used at first."""
    log, registry = configure_logs(NAME, level=settings.log_level), process_registry()
    metrics = SwapInMetrics(registry, near_limit=settings.answers.near_limit)
    try:
        rulebook = Rulebook(settings.config, merge_domains=settings.answers.merge_domains, metrics=metrics, log=log)
        store = redis_store(settings.store.address, settings.store.options, watch=StoreMetrics(registry, log))
    except InvalidRules as error:
        raise SystemExit("\n".join(f"error: {mistake}" for mistake in error.mistakes)) from error
    except StoreAddressError as error:
        raise SystemExit(f"error: --store: {error}") from error
    tls = None if settings.tls is None else certificates(settings.tls, log, registry)
    handler = _handler(settings.answers, rulebook, store, metrics, log)
    health = Health(NAME)
    await health.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        await start_server(stack, settings.listen, tls, health, handler)
        if settings.probe is not None:
            await start_server(stack, settings.probe, None, health)
        work = [rulebook.follow()]
        if settings.http is not None:
            work.append(HttpServer(http_app(handler.decide), settings.http).serve())
        if settings.metrics is not None:
            work.append(HttpServer(metrics_app(registry), settings.metrics).serve())
        await health.serving()
        log.info("serving", listen=str(settings.listen))
        await until_stopped(*work)
        log.info("stopping")
        await health.stopping()


def _handler(
    settings: SwapInSettings, rulebook: Rulebook, store: Scripts, metrics: SwapInMetrics, log: Logger
) -> SwapInHandler:
    return SwapInHandler(
        rulebook=rulebook,
        windows=FixedWindows(store, prefix=settings.key_prefix, only_over=settings.only_over),
        settings=settings,
        metrics=metrics,
        clock=SystemClock(),
        log=log,
    )
