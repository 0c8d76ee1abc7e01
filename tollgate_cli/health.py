"""`tollgate health`: asks one process how it is."""

from enum import StrEnum
from typing import Annotated

import typer

from service_kit.endpoint import EndpointError
from tollgate_cli.container.health import ask
from tollgate_cli.supervisor.asking import NoAnswer


class Kind(StrEnum):
    """How a process is asked."""

    ENVOY = "envoy"
    GRPC = "grpc"
    HTTP = "http"
    STORE = "store"


def health(
    kind: Annotated[
        Kind, typer.Argument(help="How to ask: Envoy's admin socket, grpc.health.v1, GET, or PING of a store.")
    ],
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="unix:/PATH or HOST:PORT; for http, http://HOST:PORT/PATH.")
    ],
) -> None:
    """Ask a process how it is; done is well, anything else is refused with the reason."""
    try:
        ask(kind.value, address)
    except (EndpointError, NoAnswer) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
