"""The translator as a process: settings, wiring, and nothing else.

It asks no control plane and has no policy: what is to be translated into what, Envoy says with each call.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

from prometheus_client import CollectorRegistry

from llm_providers import registry as providers
from llm_translator.metrics import TranslatorMetrics
from llm_translator.room import Room
from llm_translator.server import TranslationHandler
from llm_translator.session import LARGEST_REQUEST
from service_kit.clock import SystemClock
from service_kit.credentials import certificates
from service_kit.health import Health
from service_kit.http import HttpServer
from service_kit.log import Logger, configure_logs
from service_kit.metrics import metrics_app, process_registry
from service_kit.peers import Guarded, Role
from service_kit.serve import run, start_server, until_stopped
from service_kit.settings import (
    ServingSettings,
    environment,
    parsed_serving_settings,
    serving_parser,
)

NAME: Final = "llm_translator"
# Bytes: Envoy may send a whole body in one, and something stands around it.
LARGEST_MESSAGE: Final = LARGEST_REQUEST + (1 << 20)


def main() -> None:
    """Runs until it is told to stop."""
    run(serve_translations(parsed_settings(sys.argv[1:], environment())))


def parsed_settings(argv: Sequence[str], environ: Mapping[str, str]) -> ServingSettings:
    """The settings; exits with a message when they cannot be used."""
    parser = serving_parser(f"python -m {NAME}", "Translates calls of language models for Envoy", environ)
    return parsed_serving_settings(parser, parser.parse_args(argv))


async def serve_translations(settings: ServingSettings) -> None:
    """Serves until SIGTERM or SIGINT; there is nothing that it would have to wait for."""
    log, registry = configure_logs(NAME, level=settings.log_level), process_registry()
    tls = None if settings.tls is None else certificates(settings.tls, log, registry)
    handler = translation_handler(registry, log)
    health = Health(NAME)
    await health.start()
    async with AsyncExitStack() as stack:
        guarded = handler if tls is None else Guarded(handler, Role.ENVOY)  # bodies pass through here
        await start_server(stack, settings.listen, tls, health, guarded, largest_message=LARGEST_MESSAGE)
        if settings.probe is not None:
            await start_server(stack, settings.probe, None, health)
        work = []
        if settings.metrics is not None:
            work.append(HttpServer(metrics_app(registry), settings.metrics).serve())
        await health.serving()
        log.info("serving", listen=str(settings.listen))
        await until_stopped(*work)
        log.info("stopping")
        await health.stopping()


def translation_handler(registry: CollectorRegistry, log: Logger) -> TranslationHandler:
    """The handler, wired, with every provider at hand before the first call."""
    providers.providers()
    providers.inbound()
    room = Room()
    metrics = TranslatorMetrics(registry, room)
    return TranslationHandler(room=room, metrics=metrics, clock=SystemClock(), random_bytes=os.urandom, log=log)
