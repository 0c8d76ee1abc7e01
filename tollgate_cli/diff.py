"""`tollgate diff`: what a configuration would change, in the admin's words and in resources, and who would notice."""

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from control_plane.checked import Checked
from control_plane.compile import check_services, compile_file, snapshots, with_fetched
from control_plane.config.discovered import recorded_models
from control_plane.config.errors import InvalidConfig
from control_plane.operations.described import hashing_key, running
from control_plane.operations.difference import Affected, AffectedNode, Difference, ElementChange, KeyChange, difference
from control_plane.operations.reports import Running, WiringReport, short_type
from control_plane.snapshot import Release
from control_plane.xds.wiring import Wiring
from service_kit.clock import SystemClock
from service_kit.contract import ENVOY_NODE_CLUSTER
from service_kit.endpoint import UnixEndpoint, parse_endpoint
from service_kit.settings import TlsFiles, environment
from tollgate_cli.connection import AsJson, ControlPlane, NoGateway, StateDir, connection, fail, printable
from tollgate_cli.refusal import refuse
from tollgate_cli.source import Config, show_warnings, source_name
from tollgate_cli.supervisor.layout import layout
from tollgate_pb.tollgate.admin.v1 import admin_pb2 as admin_pb

DIFFERENT: Final = 3
SIGNS: Final = {"added": "+", "removed": "-", "changed": "~"}
# More names than these are counted, not listed.
MOST_NAMES: Final = 10


def diff(
    config: Config = None,
    *,
    against: Annotated[
        Path | None,
        typer.Option(help="Another configuration to compare with, instead of the running gateway.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """Show what a configuration would change in the running gateway, and who would notice. Nothing is changed.

    Exits with 0 where nothing would change, with 3 where something would.
    """
    environ = environment()
    try:
        checked = compile_file(config, environ)
        if against is None:
            reached = connection(state_dir, control_plane, environ)
            old = reached.call("GetRunning", admin_pb.GetRunningRequest(), admin_pb.Running, Running)
            new = _made(_with_fetched(checked, old), _wiring(old.wiring), hashing_key(reached.token))
        else:
            key, wiring = secrets.token_bytes(32), layout(state_dir).wiring
            old, new = _made(compile_file(against, environ), wiring, key), _made(checked, wiring, key)
    except InvalidConfig as error:
        refuse(error, as_json=as_json)
    except NoGateway as error:
        fail(error)
    show_warnings(checked.warnings(SystemClock().now()))
    found = difference(old, new)
    if as_json:
        typer.echo(json.dumps({"different": not found.nothing, **asdict(found)}, indent=2))
    else:
        typer.echo("\n".join(shown(found, source_name(config))))
    if not found.nothing:
        raise typer.Exit(DIFFERENT)


def _made(checked: Checked, wiring: Wiring, key: bytes) -> Running:
    check_services(checked, wiring)
    return running(checked, Release(*snapshots(checked.gateway, wiring)), wiring, key)


def _with_fetched(checked: Checked, old: Running) -> Checked:
    """The configuration with the key sets and models that the gateway has fetched."""
    sets = {name: text.encode() for name, text in old.key_sets.items()}
    return with_fetched(
        checked, sets, recorded_models({Path(name): text.encode() for name, text in old.models.items()})
    )


def _wiring(found: WiringReport) -> Wiring:
    """The wiring of the gateway, so that resources differ by the configuration alone."""
    files = (found.tls_certificate, found.tls_private_key, found.tls_authority)
    return Wiring(
        authz=parse_endpoint(found.authz),
        ratelimit=parse_endpoint(found.ratelimit),
        access_log=found.access_log,
        tls=TlsFiles(*map(Path, files)) if all(files) else None,
        oauth=UnixEndpoint(Path(found.oauth.removeprefix("unix:"))) if found.oauth else None,
        usage=UnixEndpoint(Path(found.usage.removeprefix("unix:"))) if found.usage else None,
        translator=parse_endpoint(found.translator) if found.translator else None,
    )


def shown(found: Difference, source: str) -> Iterator[str]:
    """The difference as lines for people."""
    if found.nothing:
        yield f"{source}: nothing would change"
        return
    yield f"{source} would change:"
    yield from (f"  {line}" for element in found.elements for line in _element(element))
    if not found.elements:
        yield "  nothing that is written: only what is made from it, see the resources"
    yield ""
    yield "resources:"
    yield from (f"  {SIGNS[item.change]} {short_type(item.type)} {printable(item.name)}" for item in found.resources)
    if not found.resources:
        yield "  none"
    yield ""
    yield "who is affected:"
    yield from (f"  {line}" for line in _affected(found.affected) or ("nobody",))


def _element(item: ElementChange) -> Iterator[str]:
    if item.change != "changed":
        yield f"{SIGNS[item.change]} {item.element}"
    for key in item.keys:
        yield f"~ {item.element}: {_key(key)}"


def _key(change: KeyChange) -> str:
    if change.secret:
        return f"{change.key} changed (not shown)"
    old, new = ("unset" if text is None else printable(text) for text in (change.old, change.new))
    return f"{change.key} {old} -> {new}"


def _affected(found: Affected) -> list[str]:
    lines = []
    if found.routes:
        lines.append(f"routes: {_named(_with_causes(found.routes))}")
        lines.append(f"requests: {_named(found.requests)}")
    for plan in found.plans:
        callers = (*plan.consumers, *(f"bearer token {name}" for name in plan.bearer_tokens))
        tenants = f"; tenants: {_named(plan.tenants)}" if plan.tenants else ""
        lines.append(f"plan {plan.plan}: {_named((*callers, 'callers whose token names it'))}{tenants}")
    lines += [f"listener {name}: open connections are closed after their next answer" for name in found.drained]
    return lines + _pushed(found.nodes)


def _with_causes(routes: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Each route, and why it is affected where it is not itself written differently."""
    for name, causes in routes.items():
        others = [cause for cause in causes if cause != f"routes.{name}"]
        yield f"{name} (by {', '.join(others)})" if others else name


def _pushed(nodes: Iterable[AffectedNode]) -> list[str]:
    """Who is sent something: Envoys by their group, services by name."""
    envoys: dict[str, list[str]] = {}
    services = []
    for node in nodes:
        if node.cluster == ENVOY_NODE_CLUSTER:
            envoys.setdefault(node.group, []).append(node.node)
        else:
            services.append(node.node)
    lines = [
        f"Envoys{f' of group {group}' if group else ''}: {_named(names)}" for group, names in sorted(envoys.items())
    ]
    return lines + ([f"services: {_named(services)}"] if services else [])


def _named(names: Iterable[str]) -> str:
    listed = [printable(name) for name in names]
    more = f" and {len(listed) - MOST_NAMES} more" if len(listed) > MOST_NAMES else ""
    return ", ".join(listed[:MOST_NAMES]) + more
