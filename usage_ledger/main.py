"""The ledger as a process: settings, wiring, and nothing else."""

import asyncio
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from service_kit.clock import Clock, SystemClock
from service_kit.contract import LEDGER_POLICY_TYPE
from service_kit.endpoint import TcpEndpoint, UnixEndpoint
from service_kit.feedback import Feedback
from service_kit.log import Logger
from service_kit.metrics import process_registry
from service_kit.private_files import kept_secret
from service_kit.serve import Service, run, serve
from service_kit.settings import ServiceSettings, SettingsParser, environment, parsed_service_settings, service_parser
from usage_ledger.audit.tail import HEAD_NAME as AUDIT_HEAD_NAME
from usage_ledger.audit.tail import AuditTail
from usage_ledger.database import Database, database_url
from usage_ledger.drift import Drift
from usage_ledger.errors import LedgerUnusable
from usage_ledger.following import Following
from usage_ledger.heads import HEAD_NAME
from usage_ledger.metrics import LedgerMetrics
from usage_ledger.own_usage import OwnUsage, usage_app
from usage_ledger.policy import RetentionPolicy
from usage_ledger.reader import Reader
from usage_ledger.rotation import Rotation
from usage_ledger.rpc import UsageAdmin
from usage_ledger.tail import Sources, Tail

NAME: Final = "usage_ledger"
WRITER_NAME: Final = "ledger.writer"


@dataclass(frozen=True)
class LedgerSettings:
    """What the ledger is told beside what every service is; the URL may hold a password."""

    access_log: Path
    events: Path | None
    audit_log: Path | None
    writer: str
    database: str = field(repr=False)
    http: UnixEndpoint | None = None
    # Of the Envoy whose log is ours to rotate.
    envoy_admin: UnixEndpoint | None = None
    echo: bool = False
    # Whose quotas are compared with the rows.
    limiter: UnixEndpoint | None = None


def main() -> None:
    """Runs until it is told to stop."""
    settings, own = parsed_settings(sys.argv[1:], environment())
    try:
        service = ledger_service(settings, own, process_registry(), structlog.get_logger(process=NAME))
    except (LedgerUnusable, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    run(serve(service, settings))


def parsed_settings(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[ServiceSettings, LedgerSettings]:
    """The settings; exits with a message when they cannot be used."""
    parser = service_parser(f"python -m {NAME}", "Keeps Envoy's access log in SQL, each request once", environ)
    parser.setting("--access-log", help="file that Envoy writes its access log to")
    parser.setting("--usage-events", help="file that the rate-limit service writes its events to")
    parser.setting("--audit-log", help="file that the control plane writes its audit trail to")
    parser.setting("--ledger-database", help="postgresql://USER@HOST/NAME; without it SQLite in the state directory")
    parser.setting("--writer", help="name of this chain; without it one that the state directory keeps")
    parser.setting("--http", help="Unix socket where consumers ask for their own usage, as Envoy reaches it")
    parser.setting("--envoy-admin", help="admin socket of the Envoy whose log is rotated; without it, others do")
    parser.setting("--ratelimit", help="Unix socket of the rate-limit service, whose quotas are compared with the rows")
    parser.add_argument("--echo", action="store_true", help="print rows that are in the ledger, for who collects logs")
    settings, options = parsed_service_settings(parser, argv)
    if not options.access_log or options.access_log.startswith("/dev/"):
        parser.error("--access-log is missing, or no file: rows are read from a file that Envoy writes")
    if isinstance(settings.listen, TcpEndpoint):
        parser.error(f"--listen {settings.listen}: whoever reaches it reads all usage; write unix:/path/to.sock")
    return settings, LedgerSettings(
        access_log=Path(options.access_log),
        events=Path(options.usage_events) if options.usage_events else None,
        audit_log=Path(options.audit_log) if options.audit_log else None,
        writer=options.writer or "",
        database=options.ledger_database or "",
        http=_socket(parser, options.http, "--http", "whoever reaches it says who they are"),
        envoy_admin=_socket(parser, options.envoy_admin, "--envoy-admin", "it can stop Envoy and is never a port"),
        echo=options.echo,
        limiter=_socket(parser, options.ratelimit, "--ratelimit", "whoever reaches it grants quotas"),
    )


def ledger_service(settings: ServiceSettings, own: LedgerSettings, registry: CollectorRegistry, log: Logger) -> Service:
    """The service, wired. Rows are added from the first moment on, whoever else is there."""
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    url, writer = database_url(own.database, settings.state_dir), own.writer or _kept_writer(settings.state_dir)
    clock, metrics, retention = SystemClock(), LedgerMetrics(registry), RetentionPolicy()
    database = Database(url, changes=True)
    sources = Sources(writer, own.access_log, own.events, settings.state_dir / HEAD_NAME)
    echo = sys.stdout.buffer if own.echo else None
    tail = Tail(database, sources, metrics=metrics, clock=clock, log=log, echo=echo)
    rotation = None if own.envoy_admin is None else Rotation(own.access_log, own.envoy_admin, clock, log)
    audit = _audit(database, writer, settings, own, metrics, clock, log)
    following = Following(
        database, tail, writer, retention, metrics=metrics, clock=clock, log=log, rotation=rotation, audit=audit
    )
    reader = Reader(Database(url, changes=False))

    async def background(_feedback: Feedback) -> None:
        work = [following.run()]
        if own.limiter is not None:
            work.append(Drift(reader, own.limiter, registry=registry, clock=clock, log=log).follow())
        await asyncio.gather(*work)

    return Service(
        name=NAME,
        rpc=UsageAdmin(reader, log),
        types=(LEDGER_POLICY_TYPE,),
        consumer=retention,
        registry=registry,
        background=background,
        close=following.finish,
        http=None if own.http is None else (usage_app(OwnUsage(reader, clock, log)), own.http),
    )


def _audit(
    database: Database,
    writer: str,
    settings: ServiceSettings,
    own: LedgerSettings,
    metrics: LedgerMetrics,
    clock: Clock,
    log: Logger,
) -> AuditTail | None:
    """Who changed what, where somebody says where that is told."""
    if own.audit_log is None:
        return None
    head = settings.state_dir / AUDIT_HEAD_NAME
    return AuditTail(database, writer, own.audit_log, head, metrics=metrics, clock=clock, log=log)


def _kept_writer(state_dir: Path) -> str:
    """A name that no other writer has, and that outlives a change of the host's."""
    return kept_secret(state_dir / WRITER_NAME, lambda: f"{socket.gethostname()}-{secrets.token_hex(4)}")


def _socket(parser: SettingsParser, text: str | None, flag: str, reason: str) -> UnixEndpoint | None:
    endpoint = parser.optional_endpoint(text, flag)
    if isinstance(endpoint, TcpEndpoint):
        parser.error(f"{flag}: {reason}; write unix:/path/to.sock")
    return endpoint
