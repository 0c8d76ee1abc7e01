"""The `tollgate` command. What a command needs is imported when it is called: `tollgate version` starts no gRPC.

Exit codes: 0 done, 1 refused or failed with the reason on stderr, 2 wrong usage, 3 something would change (diff), is
not as it should be (status, usage verify, audit verify), or is done and some service has not heard of it yet (keys,
consumers, signing-keys).
"""

import importlib
import json
from typing import Any, Final

import typer
from typer.core import TyperGroup

from service_kit.collector import without_collections
from service_kit.version import installed_version

# Commands in the order of the help, and the module of each that is not here; its function, or its commands, have the
# command's name, with `_` for `-`.
COMMANDS: Final = {
    "run": "tollgate_cli.run",
    "validate": "tollgate_cli.validate",
    "render": "tollgate_cli.render",
    "explain": "tollgate_cli.explain",
    "diff": "tollgate_cli.diff",
    "status": "tollgate_cli.status",
    "history": "tollgate_cli.history",
    "rollback": "tollgate_cli.rollback",
    "keys": "tollgate_cli.keys",
    "consumers": "tollgate_cli.consumers",
    "token": "tollgate_cli.token",
    "usage": "tollgate_cli.usage",
    "audit": "tollgate_cli.audit",
    "signing-keys": "tollgate_cli.signing_keys",
    "quota": "tollgate_cli.quota",
    "models": "tollgate_cli.models",
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
    with without_collections():  # what is imported lives as long as the process
        found = getattr(importlib.import_module(module), name.replace("-", "_"))
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name)(found)
    return typer.main.get_command(alone)


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Tollgate: an API and LLM gateway. Envoy carries every byte, Python decides.",
)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from control_plane.config.schema import json_schema  # noqa: PLC0415 - imports the model

    typer.echo(json.dumps(json_schema(), indent=2))


@app.command(name="version")
def print_version() -> None:
    """Print the version of Tollgate."""
    typer.echo(installed_version() or "a source tree that is not installed")
