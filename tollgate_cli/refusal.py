"""How a command says that a configuration is invalid: every mistake with its place, and exit code 1."""

import json
from typing import NoReturn

import typer

from control_plane.config.errors import ConfigError, InvalidConfig, dotted


def refuse(error: InvalidConfig, *, as_json: bool) -> NoReturn:
    """Ends the command: one mistake a line on stderr, or JSON on stdout for programs."""
    if as_json:
        typer.echo(json.dumps({"valid": False, "errors": [_as_data(item) for item in error.errors]}))
    else:
        typer.echo(str(error), err=True)
    raise typer.Exit(1) from error


def _as_data(error: ConfigError) -> dict[str, object]:
    return {
        "file": error.location.file,
        "line": error.location.line,
        "column": error.location.column,
        "path": dotted(error.path),
        "message": error.message,
        "cure": error.cure,
    }
