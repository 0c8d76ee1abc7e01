"""The CONFIG argument of every command that reads a configuration, and what is said about it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from control_plane.config.errors import ENVIRONMENT
from tollgate_cli.supervisor.envoy import EnvoyMissing

Config = Annotated[
    Path | None,
    typer.Argument(
        metavar="[CONFIG]",
        help="The configuration: a file, or a directory of *.yaml files. Without it, the environment's variables.",
        show_default=False,
    ),
]


def source_name(config: Path | None) -> str:
    """What the configuration is called in messages."""
    return ENVIRONMENT if config is None else str(config)


def show_warnings(warnings: Iterable[str]) -> None:
    """On stderr, apart from what programs read."""
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


def not_asked(error: EnvoyMissing) -> None:
    """Of a configuration that our own checks alone have seen."""
    typer.echo(f"note: Envoy was not asked: {error}", err=True)
