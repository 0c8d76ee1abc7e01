"""`python -m tollgate_cli.container`: `run` Envoy, or `outlast` it.

Exit codes: 0 done, 1 failed with the reason on stderr, 2 wrong usage.
"""

import asyncio
import shutil
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from service_kit.clock import SystemClock
from service_kit.endpoint import EndpointError, UnixEndpoint
from service_kit.settings import SettingsParser, environment
from tollgate_cli.container.envoy import Settings, follow_signals, outlast, run
from tollgate_cli.supervisor.envoy import BootstrapError, node_group
from tollgate_cli.supervisor.memory import VARIABLE, SizeError, envoy_memory

ACTIONS = ("run", "outlast")


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Does what is asked; returns the exit code."""
    action, settings = parsed(argv, environ)
    try:
        return asyncio.run(_done(action, settings))
    except (BootstrapError, EndpointError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def parsed(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[str, Settings]:
    """What to do with which Envoy; exits with 2 where they are wrong."""
    parser = SettingsParser(
        prog="python -m tollgate_cli.container", description="Envoy in a container of its own", environ=environ
    )
    parser.add_argument(
        "action", choices=ACTIONS, help="run Envoy, and drain it before it stops; wait until it has gone"
    )
    parser.setting("--control-plane", help="address of the xDS server", default="unix:/run/tollgate/xds.sock")
    parser.setting("--envoy-admin", help="socket of Envoy's admin interface", default="unix:/run/tollgate/envoy.sock")
    parser.setting("--envoy-binary", help="Envoy", default="envoy")
    parser.setting("--envoy-log-level", help="what Envoy reports of itself; `info` is chatty", default="warning")
    parser.setting("--envoy-memory", help="heap from which requests are refused; a half of the machine's without it")
    parser.setting("--node-group", help="group of Envoys that this one belongs to, for listeners with `groups`")
    parser.setting("--drain-delay", help="seconds from not being ready to taking no connection", default="0")
    parser.setting("--drain-patience", help="seconds that requests in progress may take to finish", default="20")
    parser.add_tls_settings()
    options = parser.parse_args(argv)
    return options.action, _settings(parser, options)


def _settings(parser: SettingsParser, options: Namespace) -> Settings:
    admin = parser.endpoint(options.envoy_admin, "--envoy-admin")
    if not isinstance(admin, UnixEndpoint):
        parser.error(f"--envoy-admin {admin}: it can stop Envoy and is never a port; write unix:/path/to.sock")
    return Settings(
        binary=Path(shutil.which(options.envoy_binary) or options.envoy_binary),
        log_level=parser.log_level(options.envoy_log_level),
        control_plane=parser.endpoint(options.control_plane, "--control-plane"),
        admin=admin,
        group=_group(parser, options.node_group),
        memory=_memory(parser, options.envoy_memory),
        tls=parser.tls(options),
        drain_delay=_seconds(parser, options.drain_delay, "--drain-delay"),
        drain_patience=_seconds(parser, options.drain_patience, "--drain-patience"),
    )


def _memory(parser: SettingsParser, text: str | None) -> int:
    try:
        return envoy_memory({VARIABLE: text or ""})
    except SizeError as error:
        parser.error(str(error))


def _group(parser: SettingsParser, text: str | None) -> str:
    try:
        return node_group(text)
    except BootstrapError as error:
        parser.error(str(error))


def _seconds(parser: SettingsParser, text: str, flag: str) -> float:
    if not text.isascii() or not text.isdigit():
        parser.error(f"{flag}: {text!r} is no whole number of seconds, such as 20")
    return float(text)


async def _done(action: str, settings: Settings) -> int:
    clock = SystemClock()
    if action == "run":
        stop = asyncio.Event()
        follow_signals(stop)
        return await run(settings, clock, stop)
    await outlast(settings.admin, patience=settings.drain_patience, clock=clock)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], environment()))
