"""The rate-limit service as a process: settings, wiring, and nothing else."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from ratelimit_service.addresses import StoreAddressError
from ratelimit_service.admin import QuotaAdmin, quotas_rpc
from ratelimit_service.counters import Counters
from ratelimit_service.failsafe import Failsafe
from ratelimit_service.late_settlements import LateSettlements
from ratelimit_service.metrics import LimitMetrics
from ratelimit_service.policy import PolicyTable
from ratelimit_service.remembered import Remembered
from ratelimit_service.server import RateLimitHandler
from ratelimit_service.store import Store, redis_store
from ratelimit_service.store_settings import StoreSettings, add_store_settings, store_settings
from ratelimit_service.store_watch import StoreMetrics
from ratelimit_service.swap_in.process import add_swap_in_settings, process_settings, serve_swap_in
from ratelimit_service.unsettled import UnsettledCalls
from ratelimit_service.watch import WatchedCounters
from service_kit.clock import SystemClock
from service_kit.contract import LIMIT_SET_TYPE
from service_kit.log import Logger
from service_kit.metrics import process_registry
from service_kit.serve import Service, run, serve
from service_kit.settings import ServiceSettings, SettingsParser, environment, parsed_service_settings, service_parser

NAME = "ratelimit_service"


def main() -> None:
    """Runs until it is told to stop."""
    argv, environ = sys.argv[1:], environment()
    parser = limits_parser(environ)
    options = parser.parse_args(argv)
    if options.config:
        run(serve_swap_in(process_settings(parser, options, environ)))
    else:
        run(serve_limits(*parsed_settings(argv, environ)))


def limits_parser(environ: Mapping[str, str]) -> SettingsParser:
    """The parser of all options."""
    parser = service_parser(f"python -m {NAME}", "Decides rate limits for Envoy", environ)
    add_store_settings(parser)
    add_swap_in_settings(parser)
    return parser


def parsed_settings(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[ServiceSettings, StoreSettings]:
    """The common settings and those of the store; exits with a message when they cannot be used."""
    parser = limits_parser(environ)
    settings, options = parsed_service_settings(parser, argv)
    if options.http:
        parser.error("--http answers with --config only: leave it out")
    return settings, store_settings(parser, options, environ)


async def serve_limits(settings: ServiceSettings, chosen: StoreSettings) -> None:
    registry, log = process_registry(), structlog.get_logger(process=NAME)
    try:
        store = redis_store(chosen.address, chosen.options, watch=StoreMetrics(registry, log))
    except StoreAddressError as error:
        raise SystemExit(f"error: --store: {error}") from error
    await serve(limit_service(store, registry, log, settings.state_dir), settings)


def limit_service(store: Store, registry: CollectorRegistry, log: Logger, state_dir: Path) -> Service:
    """The service on a store."""
    clock = SystemClock()
    policy = PolicyTable()
    metrics = LimitMetrics(registry)
    counted = Counters(store, clock)
    asked = WatchedCounters(counted, registry=registry, clock=clock)
    late = LateSettlements(asked, registry=registry, clock=clock, log=log)
    counters = Remembered(Failsafe(asked, late=late, registry=registry, clock=clock), registry=registry, clock=clock)

    admin = QuotaAdmin(policy=policy, counters=counted, forget=counters.forget, log=log)
    unsettled = UnsettledCalls(counted, metrics=metrics, clock=clock, log=log)

    async def close() -> None:
        await late.close()
        await store.close()

    return Service(
        name=NAME,
        rpc=RateLimitHandler(policy=policy, counters=counters, metrics=metrics, clock=clock, log=log),
        types=(LIMIT_SET_TYPE,),
        consumer=policy,
        registry=registry,
        close=close,
        background=lambda _feedback: unsettled.follow(state_dir),
        admin=quotas_rpc(admin, log),
    )
