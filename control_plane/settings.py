"""What the control plane is told on its command line and in the environment, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from control_plane.admin.gather import ENVOY, Target
from control_plane.config.values.base import Mistake
from control_plane.config.values.quantities import LONGEST_DURATION, duration
from control_plane.xds.wiring import Wiring
from service_kit.audit import AUDIT_NAME
from service_kit.endpoint import Endpoint, TcpEndpoint, UnixEndpoint
from service_kit.settings import SettingsParser, TlsFiles

SHORTEST_AGE = 1.0


@dataclass(frozen=True)
class Settings:
    """Where the configuration is, where the others are, and where this process keeps its state."""

    config: Path | None
    xds: Endpoint
    tls: TlsFiles | None
    connection_age: float | None
    state_dir: Path
    audit_log: Path
    wiring: Wiring
    # The rate-limit service as this process reaches it.
    ratelimit_admin: Endpoint
    targets: tuple[Target, ...]
    envoy_binary: Path | None
    kubeconfig: Path | None
    log_level: str


def settings(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """The settings of the command line and the environment; exits with 2 where they are wrong."""
    parser = _parser(environ)
    options = parser.parse_args(argv)
    tls = parser.tls(options)
    return Settings(
        config=options.config,
        xds=parser.endpoint(options.xds, "--xds"),
        tls=tls,
        connection_age=_connection_age(parser, options.max_connection_age),
        state_dir=Path(options.state_dir),
        audit_log=Path(options.audit_log) if options.audit_log else Path(options.state_dir) / AUDIT_NAME,
        wiring=Wiring(
            authz=_service_endpoint(parser, options.authz, "--authz", tls),
            ratelimit=_service_endpoint(parser, options.ratelimit, "--ratelimit", tls),
            access_log=options.access_log,
            oauth=_socket(parser, options.oauth, "--oauth", "API keys would travel in the clear"),
            usage=_socket(parser, options.usage, "--usage", "whoever reaches it says who they are"),
            translator=_service_endpoint(parser, options.translator, "--translator", tls)
            if options.translator
            else None,
            tls=tls,
        ),
        ratelimit_admin=_service_endpoint(
            parser, options.ratelimit_admin or options.ratelimit, "--ratelimit-admin", tls
        ),
        targets=_targets(parser, options.scrape, options.envoy_admin),
        envoy_binary=Path(options.envoy_binary) if options.envoy_binary else None,
        kubeconfig=Path(options.kubeconfig) if options.kubeconfig else None,
        log_level=parser.log_level(options.log_level),
    )


def _parser(environ: Mapping[str, str]) -> SettingsParser:
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
    parser.setting(
        "--state-dir", help="directory for the history of configurations and the admin token", default=".tollgate"
    )
    parser.setting(
        "--audit-log", help="file of the audit trail, which the ledger reads; without it, one in the state directory"
    )
    parser.setting("--authz", help="address of the authorizer, as Envoy reaches it")
    parser.setting("--ratelimit", help="address of the rate-limit service, as Envoy reaches it")
    parser.setting(
        "--ratelimit-admin", help="a rate-limit service as this process reaches it, for quotas; without it, --ratelimit"
    )
    parser.setting("--oauth", help="Unix socket of the authorizer's endpoints that issue tokens, as Envoy reaches it")
    parser.setting("--usage", help="Unix socket where the ledger tells consumers their usage, as Envoy reaches it")
    parser.setting("--translator", help="address of the translator of language models' APIs, as Envoy reaches it")
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
    return parser


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


def _socket(parser: SettingsParser, text: str | None, flag: str, reason: str) -> UnixEndpoint | None:
    endpoint = parser.optional_endpoint(text, flag)
    if isinstance(endpoint, TcpEndpoint):
        parser.error(f"{flag} {endpoint}: {reason}; write unix:/path/to.sock")
    return endpoint


def _targets(parser: SettingsParser, scrapes: Sequence[str], envoy_admin: str | None) -> tuple[Target, ...]:
    targets = []
    for scrape in scrapes:
        process, _, address = scrape.partition("=")
        targets.append(Target(process, parser.endpoint(address, "--scrape NAME=ADDRESS")))
    if envoy := parser.optional_endpoint(envoy_admin, "--envoy-admin"):
        targets.append(Target(ENVOY, envoy, "/stats/prometheus"))
    return tuple(targets)
