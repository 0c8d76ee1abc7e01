"""The rate-limit service as a process: settings, wiring, and nothing else."""

import sys
from collections.abc import Mapping, Sequence

import structlog
from prometheus_client import CollectorRegistry

from ratelimit_service.metrics import LimitMetrics
from ratelimit_service.policy import PolicyTable
from ratelimit_service.server import RateLimitHandler
from ratelimit_service.store import CounterStore, StoreAddressError, redis_store
from ratelimit_service.watch import WatchedCounters
from service_kit.clock import SystemClock
from service_kit.contract import LIMIT_SET_TYPE
from service_kit.log import Logger
from service_kit.metrics import process_registry
from service_kit.serve import Service, run, serve
from service_kit.settings import ServiceSettings, environment, parsed_service_settings, service_parser

NAME = "ratelimit_service"


def main() -> None:
    """Runs until it is told to stop."""
    settings, address = parsed_settings(sys.argv[1:], environment())
    run(serve_limits(settings, address))


def parsed_settings(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[ServiceSettings, str]:
    """The common settings and the store's address; exits with a message when they cannot be used."""
    parser = service_parser(f"python -m {NAME}", "Decides rate limits for Envoy", environ)
    parser.setting("--store", help="address of Redis or Valkey: unix:/path, redis://... or rediss://...")
    settings, options = parsed_service_settings(parser, argv)
    if not options.store:
        parser.error("--store is missing: write unix:/path, redis://host:port or rediss://host:port")
    return settings, options.store


async def serve_limits(settings: ServiceSettings, address: str) -> None:
    try:
        store = redis_store(address)
    except StoreAddressError as error:
        raise SystemExit(f"error: --store: {error}") from error
    await serve(limit_service(store, process_registry(), structlog.get_logger(process=NAME)), settings)


def limit_service(store: CounterStore, registry: CollectorRegistry, log: Logger) -> Service:
    """The service on a store."""
    clock = SystemClock()
    policy = PolicyTable()
    metrics = LimitMetrics(registry)
    counters = WatchedCounters(store, metrics=metrics, clock=clock, log=log)
    return Service(
        name=NAME,
        rpc=RateLimitHandler(policy=policy, counters=counters, metrics=metrics, clock=clock, log=log),
        types=(LIMIT_SET_TYPE,),
        consumer=policy,
        registry=registry,
        close=store.close,
    )
