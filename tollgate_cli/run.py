"""`tollgate run`: one gateway on one host, every process of it or a single one."""

import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvloop

from control_plane.checked import Checked
from control_plane.config import preset
from control_plane.config.errors import InvalidConfig
from service_kit.clock import SystemClock
from service_kit.endpoint import EndpointError, TcpEndpoint, parse_endpoint
from service_kit.settings import LOG_LEVEL_VARIABLE, SettingError, environment, log_level
from tollgate_cli.beginning import beginning
from tollgate_cli.mutual_tls import tls_files
from tollgate_cli.source import Config, not_asked, show_warnings, source_name
from tollgate_cli.supervisor import processes
from tollgate_cli.supervisor.envoy import (
    BootstrapError,
    EnvoyMissing,
    bootstrap,
    envoy_at_hand,
    envoy_binary,
    node_group,
    node_id,
)
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
GROUP_VARIABLE = "TOLLGATE_NODE_GROUP"


class Only(StrEnum):
    """A process that can be run alone, as in a container."""

    STORE = processes.STORE
    CONTROL_PLANE = processes.CONTROL_PLANE
    AUTHZ = processes.AUTHZ
    RATELIMIT = processes.RATELIMIT
    LEDGER = processes.LEDGER
    TRANSLATOR = processes.TRANSLATOR
    ENVOY = processes.ENVOY


class NoListener(Exception):  # noqa: N818 - reads as what it reports
    """A gateway of this group would have no listener."""


# What an operator reads as one line; anything else is a fault of ours and keeps its traceback.
EXPECTED = (
    BootstrapError, EndpointError, EnvoyMissing, InvalidConfig, NoListener, OSError, PortInUse, SettingError,
    SizeError, StateDirInUse,
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
    group: Annotated[
        str | None,
        typer.Option(
            "--node-group",
            envvar=GROUP_VARIABLE,
            help="Group of Envoys that this one belongs to: opens its listeners too.",
        ),
    ] = None,
    translator: Annotated[
        bool, typer.Option(help="Whether to run the process that translates calls of language models.")
    ] = True,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every line of every process.")] = False,
) -> None:
    """Run the gateway: embedded store, control plane, services and Envoy, until Ctrl-C."""
    environ = environment()
    if control_plane is not None and only is None:
        raise typer.BadParameter("it is for one process: add --only", param_hint="--control-plane")
    if only is not None and not translator:
        raise typer.BadParameter("it is for a whole gateway: leave --only out", param_hint="--no-translator")
    try:
        if only is None:
            run_all(config, state_dir, environ, group=group or "", verbose=verbose, translates=translator)
        else:
            _become(only.value, config, state_dir, control_plane, environ, group or "")
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
    group: str = "",
    verbose: bool,
    rotation: Rotation | None = None,
    translates: bool = True,
) -> None:
    """Runs every process until the operator asks to stop; the listeners are those of the group, and those of all."""
    log_level(environ.get(LOG_LEVEL_VARIABLE))  # else each process would say so, again and again
    place = layout(state_dir)
    compiled = beginning(config, environ, place.root)
    if not translates:
        compiled.check_untranslated()
    opened = opened_listeners(compiled, group)
    binary, group_of_node = envoy_binary(environ), node_group(group)
    gateway = Gateway(config, place, binary, environ, place.sockets.xds, group=group_of_node, translates=translates)
    create(place)
    with supervisor_lock(place):
        check_addresses(source_name(config), opened, compiled.admin_address, http3=compiled.http3)
        _write_bootstrap(gateway)
        terminal = standard_terminal(environ)
        show_warnings(compiled.warnings(SystemClock().now()))
        if config is None:
            _show_preset(terminal, environ)
        for line in left_closed(compiled, opened):
            terminal.line(line)
        plan = Plan(
            specs=processes.processes(gateway),
            layout=place,
            listeners=opened,
            encrypted=compiled.encrypted,
            admin=compiled.admin_address,
            verbose=verbose,
            rotation=rotation or Rotation(),
        )
        uvloop.run(_supervise(plan, terminal))


def opened_listeners(compiled: Checked, group: str) -> Mapping[str, TcpEndpoint]:
    """The listeners that an Envoy of this group opens; NoListener where that is none."""
    written = compiled.loaded.config.listeners
    opened = {name: address for name, address in compiled.listeners.items() if written[name].is_for(group)}
    if not opened:
        known = ", ".join(sorted({name for item in written.values() for name in item.groups}))
        which = f"group {group!r} has" if group else "a gateway without a group has"
        raise NoListener(f"{which} no listener here: set --node-group or {GROUP_VARIABLE} to one of {known}")
    return opened


def left_closed(compiled: Checked, opened: Mapping[str, TcpEndpoint]) -> Iterator[str]:
    """A line for each listener that is for others."""
    for name, item in compiled.loaded.config.listeners.items():
        if name not in opened:
            groups = ", ".join(item.groups)
            yield f"listener {name} is not opened: it is for gateways of {groups} ({GROUP_VARIABLE})"


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
    name: str, config: Path | None, state_dir: Path, control_plane: str | None, environ: Mapping[str, str], group: str
) -> NoReturn:
    """Turns this process into one of the gateway's."""
    place = layout(state_dir)
    gateway = Gateway(
        config=config,
        layout=place,
        envoy_binary=envoy_binary(environ) if name == processes.ENVOY else envoy_at_hand(environ, not_asked),
        environ=environ,
        control_plane=parse_endpoint(control_plane) if control_plane else place.sockets.xds,
        tls=tls_files(environ),
        group=node_group(group),
    )
    create(place)
    lock_for_exec(place, name)
    if name == processes.ENVOY:
        _write_bootstrap(gateway)
    spec = next(spec for spec in processes.processes(gateway) if spec.name == name)
    os.execve(spec.command[0], spec.command, dict(spec.environ))  # noqa: S606 - a list, no shell


def _write_bootstrap(gateway: Gateway) -> None:
    text = bootstrap(
        control_plane=gateway.control_plane,
        tls=gateway.tls,
        admin=gateway.layout.sockets.envoy,
        node=node_id(),
        group=gateway.group,
        memory=envoy_memory(gateway.environ),
    )
    gateway.layout.bootstrap.write_text(text, encoding="utf-8")
