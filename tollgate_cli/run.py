"""`tollgate run`: one gateway on one host, every process of it or a single one."""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvloop

from control_plane.compile import compile_file
from control_plane.config import preset
from control_plane.config.errors import InvalidConfig
from service_kit.clock import SystemClock
from service_kit.endpoint import EndpointError, parse_endpoint
from service_kit.settings import LOG_LEVEL_VARIABLE, SettingError, TlsFiles, environment, log_level
from tollgate_cli.source import Config, show_warnings, source_name
from tollgate_cli.supervisor import processes
from tollgate_cli.supervisor.envoy import BootstrapError, EnvoyMissing, bootstrap, envoy_binary, node_id
from tollgate_cli.supervisor.layout import create, layout
from tollgate_cli.supervisor.lock import StateDirInUse, lock_for_exec, supervisor_lock
from tollgate_cli.supervisor.memory import SizeError, envoy_memory
from tollgate_cli.supervisor.output import Terminal, standard_terminal
from tollgate_cli.supervisor.preflight import PortInUse, check_addresses
from tollgate_cli.supervisor.processes import Gateway
from tollgate_cli.supervisor.rotation import Rotation
from tollgate_cli.supervisor.supervisor import Plan, StopRequests, supervise

DEFAULT_STATE_DIR = Path(".tollgate")
PRESET_WIDTH = 20


class Only(StrEnum):
    """A process that can be run alone, as in a container."""

    STORE = processes.STORE
    CONTROL_PLANE = processes.CONTROL_PLANE
    AUTHZ = processes.AUTHZ
    RATELIMIT = processes.RATELIMIT
    ENVOY = processes.ENVOY


# What an operator reads as one line; anything else is a fault of ours and keeps its traceback.
EXPECTED = (
    BootstrapError, EndpointError, EnvoyMissing, InvalidConfig, OSError, PortInUse, SettingError, SizeError,
    StateDirInUse,
)  # fmt: skip


def run(
    config: Config = None,
    *,
    state_dir: Annotated[
        Path, typer.Option(envvar="TOLLGATE_STATE_DIR", help="Where sockets, logs, keys and counters are kept.")
    ] = DEFAULT_STATE_DIR,
    only: Annotated[Only | None, typer.Option(help="Run this process alone, in the foreground.")] = None,
    control_plane: Annotated[
        str | None,
        typer.Option(envvar="TOLLGATE_CONTROL_PLANE", help="With --only: unix:/PATH or HOST:PORT of its xDS server."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every line of every process.")] = False,
) -> None:
    """Run the gateway: embedded store, control plane, authorization, rate limits and Envoy, until Ctrl-C."""
    environ = environment()
    if control_plane is not None and only is None:
        raise typer.BadParameter("it is for one process: add --only", param_hint="--control-plane")
    try:
        if only is None:
            run_all(config, state_dir, environ, verbose=verbose)
        else:
            _become(only.value, config, state_dir, control_plane, environ)
    except EXPECTED as error:
        typer.echo(_line(error), err=True)
        raise typer.Exit(1) from error


def _line(error: Exception) -> str:
    """What an operator reads; an OSError is about the state directory, since a configuration has its own."""
    if isinstance(error, InvalidConfig):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"error: {error.filename}: {error.strerror}; check its permissions, or choose another --state-dir"
    return f"error: {error}"


def run_all(
    config: Path | None,
    state_dir: Path,
    environ: Mapping[str, str],
    *,
    verbose: bool,
    rotation: Rotation | None = None,
) -> None:
    """Runs every process until the operator asks to stop."""
    log_level(environ.get(LOG_LEVEL_VARIABLE))  # else each process would say so, again and again
    place = layout(state_dir)
    compiled = compile_file(config, environ)
    gateway = Gateway(config, place, envoy_binary(environ), environ, place.sockets.xds)
    create(place)
    with supervisor_lock(place):
        check_addresses(source_name(config), compiled.listeners, compiled.admin_address, http3=compiled.http3)
        _write_bootstrap(gateway)
        terminal = standard_terminal(environ)
        show_warnings(compiled.warnings(SystemClock().now()))
        if config is None:
            _show_preset(terminal, environ)
        plan = Plan(
            specs=processes.processes(gateway),
            layout=place,
            listeners=compiled.listeners,
            encrypted=compiled.encrypted,
            admin=compiled.admin_address,
            verbose=verbose,
            rotation=rotation or Rotation(),
        )
        uvloop.run(_supervise(plan, terminal))


def _show_preset(terminal: Terminal, environ: Mapping[str, str]) -> None:
    """What the gateway is made from, where no file says it."""
    terminal.line("no CONFIG: the gateway is described by the environment")
    for name, value in preset.in_use(environ):
        terminal.line(f"  {name:<{PRESET_WIDTH}} {value}")


async def _supervise(plan: Plan, terminal: Terminal) -> None:
    stop = StopRequests()
    stop.follow_signals()
    await supervise(plan, terminal, SystemClock(), stop)


def _become(
    name: str, config: Path | None, state_dir: Path, control_plane: str | None, environ: Mapping[str, str]
) -> NoReturn:
    """Turns this process into one of the gateway's."""
    place = layout(state_dir)
    gateway = Gateway(
        config=config,
        layout=place,
        envoy_binary=envoy_binary(environ) if name == processes.ENVOY else _envoy_at_hand(environ),
        environ=environ,
        control_plane=parse_endpoint(control_plane) if control_plane else place.sockets.xds,
        tls=tls_files(environ),
    )
    create(place)
    lock_for_exec(place, name)
    if name == processes.ENVOY:
        _write_bootstrap(gateway)
    spec = next(spec for spec in processes.processes(gateway) if spec.name == name)
    os.execve(spec.command[0], spec.command, dict(spec.environ))  # noqa: S606 - a list, no shell


def _envoy_at_hand(environ: Mapping[str, str]) -> Path | None:
    """The binary that checks configurations, where there is one: other processes run without it."""
    try:
        return envoy_binary(environ)
    except EnvoyMissing:
        return None


def _write_bootstrap(gateway: Gateway) -> None:
    text = bootstrap(
        control_plane=gateway.control_plane,
        tls=gateway.tls,
        admin=gateway.layout.sockets.envoy,
        node=node_id(),
        memory=envoy_memory(gateway.environ),
    )
    gateway.layout.bootstrap.write_text(text, encoding="utf-8")


def tls_files(environ: Mapping[str, str]) -> TlsFiles | None:
    """The files of mutual TLS, by the same variables that the services read; all three or none."""
    names = ("TOLLGATE_TLS_CERTIFICATE", "TOLLGATE_TLS_PRIVATE_KEY", "TOLLGATE_TLS_AUTHORITY")
    files = [Path(environ[name]) for name in names if environ.get(name)]
    if files and len(files) < len(names):
        raise BootstrapError(f"mutual TLS needs {', '.join(names)}")
    return TlsFiles(*files) if files else None
