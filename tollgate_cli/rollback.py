"""`tollgate rollback`: makes an entry of the history live again, until the file changes."""

import json
from pathlib import Path
from typing import Annotated

import typer

from control_plane.operations.reports import RollbackResult, as_json
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
from tollgate_pb.tollgate.admin.v1 import admin_pb2 as admin_pb


def rollback(
    number: Annotated[
        int | None,
        typer.Argument(
            min=1, max=LARGEST_NUMBER, help="The number of an entry of `tollgate history`.", show_default=False
        ),
    ] = None,
    *,
    release: Annotated[bool, typer.Option("--release", help="Go back to what the file says.")] = False,
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """Make an earlier configuration live again. It holds until the file changes, and through restarts."""
    if (number is None) == (not release):
        raise typer.BadParameter("write the NUMBER of an entry of `tollgate history`, or --release")
    try:
        result = connection(state_dir, control_plane, environment()).call(
            "Rollback", admin_pb.RollbackRequest(number=number), admin_pb.RollbackResult, RollbackResult
        )
    except NoGateway as error:
        fail(error)
    typer.echo(json.dumps(as_json(result), indent=2) if as_json_ else _shown(result, number))
    if result.errors:
        raise typer.Exit(1)


def _shown(result: RollbackResult, asked: int | None) -> str:
    if result.held:
        anew = "" if result.number in (None, asked) else f" as number {result.number}"
        return (
            f"ROLLED BACK to {asked}: it is live{anew} (hash {result.digest})\n"
            "It holds until the file changes again, also through a restart. What the file says now is NOT live.\n"
            "`tollgate rollback --release` goes back to the file."
        )
    if result.errors:
        mistakes = "\n".join(f"  {printable(error)}" for error in result.errors)
        return f"the rollback has ended, but what the file says cannot go live:\n{mistakes}"
    number = "" if result.number is None else f" as number {result.number}"
    return f"the file is live{number} (hash {result.digest})"
