"""The authorizer as a process: settings, wiring, and nothing else."""

import sys
from collections.abc import Mapping, Sequence

import structlog
from prometheus_client import CollectorRegistry

from authz_service.metrics import Metrics
from authz_service.server import AuthorizationService, Authorizer
from service_kit.clock import SystemClock
from service_kit.contract import AUTHZ_POLICY_TYPE
from service_kit.log import Logger
from service_kit.metrics import process_registry
from service_kit.serve import Service, run, serve
from service_kit.settings import ServiceSettings, environment, parsed_service_settings, service_parser

NAME = "authz_service"


def main() -> None:
    """Runs until it is told to stop."""
    settings = parsed_settings(sys.argv[1:], environment())
    run(serve(authorization_service(process_registry(), structlog.get_logger(process=NAME)), settings))


def parsed_settings(argv: Sequence[str], environ: Mapping[str, str]) -> ServiceSettings:
    """The settings; exits with a message when they cannot be used."""
    parser = service_parser(f"python -m {NAME}", "Decides for Envoy who calls, and whether they may", environ)
    settings, _ = parsed_service_settings(parser, argv)
    return settings


def authorization_service(registry: CollectorRegistry, log: Logger) -> Service:
    """The service, wired; without a policy it refuses everything."""
    clock, metrics = SystemClock(), Metrics(registry)
    authorizer = Authorizer(clock=clock, metrics=metrics)
    return Service(
        name=NAME,
        rpc=AuthorizationService(authorizer, clock=clock, metrics=metrics, log=log),
        types=(AUTHZ_POLICY_TYPE,),
        consumer=authorizer,
        registry=registry,
    )
