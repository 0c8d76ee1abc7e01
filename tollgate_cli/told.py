"""What a command says of the services that its change was for, and how it ends."""

import json
from pathlib import Path
from typing import TypeVar

import typer
from google.protobuf.message import Message

from control_plane.operations.identities import SERVICE, ToldReport
from control_plane.operations.reports import as_json
from service_kit.settings import environment
from tollgate_cli.connection import NoGateway, connection, fail, printable

# Done, and not everywhere yet.
STILL_WAITING = 3

T = TypeVar("T")


def answer(
    place: tuple[Path, str | None],
    method: str,
    request: Message,
    response: type[Message],
    shape: type[T],
    *,
    service: str = SERVICE,
) -> T:
    """What the control plane of this state directory or at this address answers; ends the command where it refuses."""
    try:
        return connection(*place, environment()).call(method, request, response, shape, service=service)
    except NoGateway as error:
        fail(error)


def show(report: object, lines: str, *, as_json_: bool) -> None:
    """The report, for people or for programs."""
    typer.echo(json.dumps(as_json(report), indent=2) if as_json_ else lines)


def end(told: ToldReport) -> None:
    """Says on stderr where a change is not known yet, and ends with 3 there."""
    if told.waiting:
        names = ", ".join(map(printable, told.waiting))
        typer.echo(f"note: done, but not yet everywhere: {names} did not answer in time", err=True)
        raise typer.Exit(STILL_WAITING)
    if not told.services:
        typer.echo("note: no service is connected; each is told as soon as it is", err=True)


def everywhere(told: ToldReport) -> str:
    """How far a change has come."""
    return f"{told.services} service{'' if told.services == 1 else 's'} in {told.seconds * 1000:.0f} ms"
