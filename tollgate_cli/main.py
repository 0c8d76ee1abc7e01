"""The `tollgate` command. What a command needs is imported when it is called: `tollgate version` starts no gRPC.

Exit codes: 0 done, 1 refused or failed with the reason on stderr, 2 wrong usage, 3 something would change (diff) or is
not as it should be (status).
"""

import importlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from control_plane.config.errors import InvalidConfig
from service_kit.clock import SystemClock
from service_kit.settings import environment
from tollgate_cli.refusal import refuse
from tollgate_cli.source import Config, show_warnings, source_name

if TYPE_CHECKING:
    from control_plane.config import model

# Commands in the order of the help, and the module of each that is not here; its function has the command's name.
COMMANDS: Final = {
    "run": "tollgate_cli.run",
    "validate": None,
    "render": "tollgate_cli.render",
    "diff": "tollgate_cli.diff",
    "status": "tollgate_cli.status",
    "history": "tollgate_cli.history",
    "rollback": "tollgate_cli.rollback",
    "schema": None,
    "health": "tollgate_cli.health",
    "version": None,
}


class Commands(TyperGroup):
    """Commands that are imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        return list(COMMANDS)

    # Any: typer publishes no type for its commands
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module = COMMANDS.get(cmd_name)
        return super().get_command(ctx, cmd_name) if module is None else _imported(module, cmd_name)


def _imported(module: str, name: str) -> Any:  # Any: typer publishes no type for its commands
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name)(getattr(importlib.import_module(module), name))
    return typer.main.get_command(alone)


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Tollgate: an API and LLM gateway. Envoy carries every byte, Python decides.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def validate(
    config: Config = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check a configuration with the server's own compiler; prints every mistake with its line and cure."""
    from control_plane.compile import compile_file  # noqa: PLC0415 - imports gRPC and Envoy's messages

    try:
        checked = compile_file(config, environment())
    except InvalidConfig as error:
        refuse(error, as_json=as_json)
    show_warnings(checked.warnings(SystemClock().now()))
    if as_json:
        typer.echo(json.dumps({"valid": True, "errors": []}))
    else:
        typer.echo(f"{source_name(config)} is valid: {_summary(checked.loaded.config)}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from control_plane.config.schema import json_schema  # noqa: PLC0415 - imports the model

    typer.echo(json.dumps(json_schema(), indent=2))


@app.command(name="version")
def print_version() -> None:
    """Print the version of Tollgate."""
    try:
        typer.echo(version("tollgate"))
    except PackageNotFoundError:
        typer.echo("a source tree that is not installed")


def _summary(config: "model.Config") -> str:
    counts = (
        (len(config.listeners), "listener"),
        (len(config.routes), "route"),
        (len(config.upstreams), "upstream"),
    )
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
