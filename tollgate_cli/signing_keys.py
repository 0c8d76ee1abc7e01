"""`tollgate signing-keys`: what the gateway's own tokens are signed with. It is made and turned without being asked."""

from pathlib import Path

import typer

from control_plane.operations.identities import ReplacedSigningKeys
from tollgate_cli.connection import AsJson, ControlPlane, StateDir
from tollgate_cli.told import answer, end, everywhere, show
from tollgate_pb.tollgate.admin.v1 import keys_pb2 as keys_pb

signing_keys = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Replace what the gateway's own tokens are signed with.",
)


@signing_keys.callback()
def _group() -> None:
    """So that the one command keeps its name."""


@signing_keys.command()
def replace(
    *,
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """Put a new key in place of all, at once: where somebody else may have seen them. Living tokens are refused."""
    request = keys_pb.ReplaceSigningKeysRequest()
    done = answer(
        (state_dir, control_plane), "ReplaceSigningKeys", request, keys_pb.ReplacedSigningKeys, ReplacedSigningKeys
    )
    show(done, f"{done.kid} signs now: {everywhere(done.told)}", as_json_=as_json_)
    end(done.told)
