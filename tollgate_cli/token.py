"""`tollgate token`: a token of the gateway's own, for development."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from control_plane.config.values.base import Mistake
from control_plane.config.values.quantities import duration
from control_plane.operations.tokens import MintedToken
from service_kit.gateway_tokens import LONGEST_LIFETIME
from tollgate_cli.connection import AsJson, ControlPlane, StateDir
from tollgate_cli.table import moment
from tollgate_cli.told import answer, show
from tollgate_pb.tollgate.admin.v1 import keys_pb2 as keys_pb


def token(
    *,
    consumer: Annotated[str, typer.Option(help="Whose it is to be: of its newest key.", show_default=False)] = "",
    key: Annotated[str, typer.Option(help="The id of the API key that it is for.", show_default=False)] = "",
    scope: Annotated[
        list[str] | None, typer.Option(help="A scope of the key; without any, all. May be repeated.")
    ] = None,
    lifetime: Annotated[
        str, typer.Option(help="How long it is good; without it, `identity.tokens.lifetime`.", show_default=False)
    ] = "",
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """Mint a token as `POST /oauth/token` would, without the API key: for development, with the admin token."""
    if not consumer and not key:
        raise typer.BadParameter("name one of them", param_hint="--consumer, --key")
    request = keys_pb.MintTokenRequest(consumer=consumer, key=key, scopes=scope, lifetime=_seconds(lifetime))
    made = answer((state_dir, control_plane), "MintToken", request, keys_pb.MintedToken, MintedToken)
    show(made, made.token, as_json_=as_json_)
    if not as_json_:
        typer.echo("\n".join(_described(made)), err=True)  # so that $(tollgate token ...) is the token alone


def _described(made: MintedToken) -> Iterator[str]:
    scopes = f" with {' '.join(made.scopes)}" if made.scopes else ""
    yield f"of {made.consumer}, for the key {made.key}{scopes}, until {moment(made.expires)}"


def _seconds(text: str) -> int:
    if not text:
        return 0
    try:
        seconds = duration(text)
    except Mistake as error:
        raise typer.BadParameter(f"{error}; {error.cure}", param_hint="--lifetime") from error
    if not 1 <= seconds <= LONGEST_LIFETIME or not seconds.is_integer():
        raise typer.BadParameter(f"choose 1s to {LONGEST_LIFETIME}s", param_hint="--lifetime")
    return int(seconds)
