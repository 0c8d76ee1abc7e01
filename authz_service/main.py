"""The authorizer as a process: settings, wiring, and nothing else."""

import os
import sys
from collections.abc import Mapping, Sequence

import structlog
from prometheus_client import CollectorRegistry

from authz_service.metrics import Metrics
from authz_service.newer_keys import NewerKeys
from authz_service.oauth.app import Desk, oauth_app
from authz_service.server import AuthorizationService, Authorizer
from authz_service.usage import KeyUses, tell_uses
from service_kit.clock import SystemClock
from service_kit.contract import AUTHZ_POLICY_TYPE, BESIDE_TYPES
from service_kit.endpoint import Endpoint, TcpEndpoint
from service_kit.feedback import Feedback
from service_kit.log import Logger
from service_kit.metrics import process_registry
from service_kit.serve import Service, run, serve
from service_kit.settings import ServiceSettings, environment, parsed_service_settings, service_parser

NAME = "authz_service"


def main() -> None:
    """Runs until it is told to stop."""
    settings, http = parsed_settings(sys.argv[1:], environment())
    run(serve(authorization_service(process_registry(), structlog.get_logger(process=NAME), http), settings))


def parsed_settings(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[ServiceSettings, Endpoint | None]:
    """The settings, and where tokens are issued; exits with a message when they cannot be used."""
    parser = service_parser(f"python -m {NAME}", "Decides for Envoy who calls, and whether they may", environ)
    parser.setting("--http", help="Unix socket of the endpoints that issue tokens; without it, none are issued")
    settings, options = parsed_service_settings(parser, argv)
    http = parser.optional_endpoint(options.http, "--http")
    if isinstance(http, TcpEndpoint):
        parser.error("--http: clients send secrets there, which travel in the clear: write unix:/path/to.sock")
    return settings, http


def authorization_service(registry: CollectorRegistry, log: Logger, http: Endpoint | None = None) -> Service:
    """The service, wired; without a policy it refuses everything."""
    clock, metrics = SystemClock(), Metrics(registry)
    authorizer, uses = Authorizer(clock=clock, metrics=metrics, random_bytes=os.urandom), KeyUses(clock)
    newer_keys = NewerKeys(authorizer.changes, clock)
    desk = Desk(lambda: authorizer.issuing, uses, clock, os.urandom, metrics, log)

    async def background(feedback: Feedback) -> None:
        newer_keys.ask = feedback.refresh_key_set
        await tell_uses(uses, feedback, log=log)

    return Service(
        name=NAME,
        rpc=AuthorizationService(
            authorizer, uses=uses, clock=clock, metrics=metrics, log=log, newer_keys=newer_keys.of
        ),
        types=(AUTHZ_POLICY_TYPE, *BESIDE_TYPES),
        consumer=authorizer,
        registry=registry,
        background=background,
        http=None if http is None else (oauth_app(desk), http),
    )
