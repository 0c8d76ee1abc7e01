"""`tollgate status`: what is live, what is wrong with the file, and what each connected Envoy and service runs."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import typer

from control_plane.operations.reports import (
    BackendReport,
    ConfigurationReport,
    IdentitiesReport,
    ModelCounts,
    NodeReport,
    RefusalReport,
    StatusReport,
    TypeReport,
    as_json,
    short_type,
)
from service_kit.clock import SystemClock
from service_kit.settings import environment
from tollgate_cli.connection import AsJson, ControlPlane, NoGateway, StateDir, connection, fail, printable
from tollgate_cli.table import age, moment, table
from tollgate_pb.tollgate.admin.v1 import admin_pb2 as admin_pb

NOT_WELL = 3


def status(
    *, as_json_: AsJson = False, state_dir: StateDir = Path(".tollgate"), control_plane: ControlPlane = None
) -> None:
    """Show what is live and what every connected Envoy and service runs.

    Exits with 3 where something is not as it should be: a mistake in the file, a refusal, a part that is held back,
    a rollback, a node that has not answered, or no Envoy at all.
    """
    try:
        report = connection(state_dir, control_plane, environment()).call(
            "GetStatus", admin_pb.GetStatusRequest(), admin_pb.StatusReport, StatusReport
        )
    except NoGateway as error:
        fail(error)
    if as_json_:
        typer.echo(json.dumps(as_json(report), indent=2))
    else:
        typer.echo("\n".join(shown(report, SystemClock().now())))
    if report.problems:
        raise typer.Exit(NOT_WELL)


def shown(report: StatusReport, now: float) -> Iterator[str]:
    """The report as lines for people."""
    yield from _loud(report.configuration)
    yield from _configuration(report, now)
    yield ""
    if report.backends:
        yield from table([BACKEND_COLUMNS, *(_backend(backend, now) for backend in report.backends)])
        yield ""
    if report.nodes:
        yield from table([NODE_COLUMNS, *(_node(node, now) for node in report.nodes)])
        yield ""
        yield from table([TYPE_COLUMNS, *(row for node in report.nodes for row in _types(node, now))])
    else:
        yield "nobody is connected"
    yield ""
    if not report.problems:
        yield "all is as it should be"
        return
    yield f"{len(report.problems)} not as it should be:"
    yield from (f"  {printable(problem)}" for problem in report.problems)


def _loud(found: ConfigurationReport) -> Iterator[str]:
    if found.rolled_back is not None:
        yield (
            f"ROLLED BACK to {found.rolled_back.number} at {moment(found.rolled_back.since)}: "
            f"{printable(found.source)} is not live until it changes again"
        )
        yield "  `tollgate rollback --release` makes it live now"
    if found.restored:
        yield f"STARTED FROM THE HISTORY, {printable(found.source)} was broken: {printable(found.restored)}"


def _configuration(report: StatusReport, now: float) -> Iterable[str]:
    found = report.configuration
    number = "not in the history" if found.number is None else f"number {found.number} of the history"
    hashed = f", hash {found.digest}" if found.digest else ""
    rows = [
        ("configuration", f"{found.source}, {number}{hashed}"),
        ("live since", f"{moment(found.live_since)} ({age(found.live_since, now)})"),
        *(("mistake", error) for error in found.errors),
        *(("held back", f"{item.kind} {item.name} ({item.place}): {item.reason}") for item in found.held_back),
    ]
    kept = () if report.identities is None else (("stored", _stored(report.identities)),)
    models = () if report.models is None else (("models", _models(report.models)),)
    return table([*rows, *kept, *models])


def _stored(found: IdentitiesReport) -> str:
    return f"{found.keys} keys and {found.consumers} consumers in {found.store}"


def _models(found: ModelCounts) -> str:
    withdrawn = f", {found.withdrawn} withdrawn" if found.withdrawn else ""
    return f"{found.written} written and {found.discovered} discovered{withdrawn}"


BACKEND_COLUMNS = ("MODELS OF", "API", "STATE", "SINCE", "MODELS", "REASON")
NODE_COLUMNS = ("NODE", "CLUSTER", "GROUP", "VERSION", "PROTOCOL", "CONNECTED", "STATE")
TYPE_COLUMNS = ("NODE", "TYPE", "SENT", "ACKED", "STATE", "SINCE", "LAST REFUSAL")


def _backend(backend: BackendReport, now: float) -> tuple[str, ...]:
    state = backend.state if backend.state == "up" else backend.state.upper()
    since = age(backend.since, now)
    return (backend.upstream, backend.provider, state, since, str(backend.models), backend.reason)


def _node(node: NodeReport, now: float) -> tuple[str, ...]:
    state = "in sync" if node.converged else "NOT IN SYNC"
    return (
        node.node,
        node.cluster,
        node.group,
        node.user_agent,
        node.protocol,
        age(node.connected_at, now),
        state,
    )


def _types(node: NodeReport, now: float) -> Iterator[tuple[str, ...]]:
    for type_url, held in sorted(node.types.items()):
        refusal = "" if held.refusal is None else _refusal(held.refusal)
        yield (
            node.node,
            short_type(type_url),
            held.sent,
            held.acked,
            _state(held),
            age(held.since, now),
            refusal,
        )


def _state(held: TypeReport) -> str:
    if held.refusal is not None:
        return "REFUSED"
    return "in sync" if held.settled else "waiting"


def _refusal(refusal: RefusalReport) -> str:
    names = f" [{', '.join(refusal.names)}]" if refusal.names else ""
    return f"{refusal.version}{names}: {refusal.message}"
