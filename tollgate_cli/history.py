"""`tollgate history`: the configurations that were accepted, and what came of each."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from control_plane.operations.reports import HistoryEntry, HistoryReport, NodeResult, as_json
from service_kit.settings import environment
from tollgate_cli.connection import (
    LARGEST_NUMBER,
    AsJson,
    ControlPlane,
    NoGateway,
    StateDir,
    connection,
    fail,
    printable,
)
from tollgate_cli.table import moment, table
from tollgate_pb.tollgate.admin.v1 import admin_pb2 as admin_pb

COLUMNS = ("NUMBER", "TIME", "HASH", "SOURCE", "RESULT", "NODES")


def history(
    *,
    limit: Annotated[int, typer.Option(min=1, max=LARGEST_NUMBER, help="How many entries, the newest first.")] = 20,
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """List the configurations that were accepted; `tollgate rollback NUMBER` makes one live again."""
    try:
        report = connection(state_dir, control_plane, environment()).call(
            "ListHistory", admin_pb.ListHistoryRequest(limit=limit), admin_pb.HistoryReport, HistoryReport
        )
    except NoGateway as error:
        fail(error)
    if as_json_:
        typer.echo(json.dumps(as_json(report), indent=2))
    elif report.entries:
        typer.echo("\n".join(_shown(report)))
    elif not report.unavailable:
        typer.echo("the history is empty")
    if report.unavailable:
        typer.echo(f"error: there is no history: {printable(report.unavailable)}", err=True)
        raise typer.Exit(1)


def _shown(report: HistoryReport) -> Iterator[str]:
    yield from table([COLUMNS, *map(_row, report.entries)])
    for entry in report.entries:
        for text in (*entry.held, *_refusals(entry.nodes)):
            yield f"  {entry.number}: {printable(text)}"


def _row(entry: HistoryEntry) -> tuple[str, ...]:
    mark = " (rolled back to)" if entry.rolled_back_to else " (live)" if entry.live else ""
    return (
        str(entry.number),
        moment(entry.at),
        entry.digest,
        entry.source,
        f"{entry.result}{mark}",
        _nodes(entry.nodes),
    )


def _nodes(nodes: Mapping[str, NodeResult]) -> str:
    accepted = sum(result.accepted for result in nodes.values())
    return f"{accepted} of {len(nodes)} accepted" if nodes else ""


def _refusals(nodes: Mapping[str, NodeResult]) -> Iterator[str]:
    return (f"refused by {name}: {result.reason}" for name, result in sorted(nodes.items()) if not result.accepted)
