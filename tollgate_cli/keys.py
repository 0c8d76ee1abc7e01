"""`tollgate keys`: API keys that are made at run time, and hashes for those that the configuration declares."""

import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from control_plane.config.errors import InvalidConfig
from control_plane.config.load import load
from control_plane.config.values.base import Mistake
from control_plane.config.values.keys import moment as moment_of
from control_plane.config.values.quantities import duration
from control_plane.keys.errors import IdentityError
from control_plane.keys.settings import kept_pepper, store_settings
from control_plane.operations.identities import IssuedKey, KeyReport, KeysReport, RevokedKey
from service_kit.api_keys import Key, key_hash, key_id, new_key, written_hash
from service_kit.clock import SystemClock
from service_kit.contract import MISSING
from service_kit.settings import environment
from tollgate_cli.connection import LARGEST_NUMBER, AsJson, ControlPlane, StateDir
from tollgate_cli.refusal import refuse
from tollgate_cli.source import Config
from tollgate_cli.table import age, moment, table
from tollgate_cli.told import answer, end, everywhere, show
from tollgate_pb.tollgate.admin.v1 import keys_pb2 as keys_pb

COLUMNS = ("ID", "CONSUMER", "PLAN", "SCOPES", "ROLES", "FROM", "MODELS", "STATE", "CREATED", "EXPIRES", "LAST USED")
SHOWN_ONCE = "Keep it now: it is shown this once, and kept nowhere."

keys = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Make, list, rotate and revoke API keys of a running gateway.",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The id of a key, the 12 letters and digits after `tgk_`.")]


@keys.command()
def create(  # noqa: PLR0913 - an option each
    consumer: Annotated[str, typer.Option(help="Whose it is: a declared consumer, or a stored one.")],
    *,
    plan: Annotated[str, typer.Option(help="Its plan; without it, its consumer's.", show_default=False)] = "",
    scope: Annotated[list[str] | None, typer.Option(help="A scope it holds; may be repeated.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="A role it holds; may be repeated.")] = None,
    allow_ip: Annotated[
        list[str] | None, typer.Option(help="An address or network it may be used from; may be repeated.")
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            help="Language models it may call, such as mistral,llama3.1:*; without it, all that its plan may.",
            show_default=False,
        ),
    ] = None,
    expires: Annotated[
        str, typer.Option(help="When it ends: in 12h or 90d, at 2030-12-31, or never.", show_default=False)
    ] = "never",
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """Make a key. It is printed once; routes accept it that name `api_key` in their `auth`."""
    request = keys_pb.CreateKeyRequest(
        consumer=consumer,
        plan=plan,
        scopes=scope,
        roles=role,
        allow_ips=allow_ip,
        expires=_end(expires),
        models=None if models is None else _patterns(models),
    )
    made = answer((state_dir, control_plane), "CreateKey", request, keys_pb.IssuedKey, IssuedKey)
    _show_issued(made, as_json_=as_json_)
    end(made.told)


@keys.command("list")
def list_(
    *,
    consumer: Annotated[str, typer.Option(help="Only those of this consumer.", show_default=False)] = "",
    after: Annotated[str, typer.Option(help="The id of the last key of the page before.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=LARGEST_NUMBER, help="How many, the oldest first.")] = 100,
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """List keys, also those that were revoked or have ended. No key can be shown again."""
    request = keys_pb.ListKeysRequest(consumer=consumer, after=after, limit=limit)
    found = answer((state_dir, control_plane), "ListKeys", request, keys_pb.KeysReport, KeysReport)
    show(found, "\n".join(_listed(found, SystemClock().now())), as_json_=as_json_)


@keys.command()
def rotate(
    id_: Id,
    *,
    overlap: Annotated[str, typer.Option(help="How long the old key goes on working, such as 0s or 7d.")] = "1d",
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """Make another key for the same; the old one works for a while longer."""
    request = keys_pb.RotateKeyRequest(id=id_, overlap=_seconds(overlap, "--overlap"))
    made = answer((state_dir, control_plane), "RotateKey", request, keys_pb.IssuedKey, IssuedKey)
    old = f"{id_} ends in {overlap}" if request.overlap else f"{id_} has ended"
    _show_issued(made, old, as_json_=as_json_)
    end(made.told)


@keys.command()
def revoke(
    id_: Id,
    *,
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """Make a key open nothing any more, everywhere, at once."""
    request = keys_pb.RevokeKeyRequest(id=id_)
    done = answer((state_dir, control_plane), "RevokeKey", request, keys_pb.RevokedKey, RevokedKey)
    at = moment(done.details.revoked_at)
    show(done, f"{id_} of {done.details.consumer} is revoked since {at}: {everywhere(done.told)}", as_json_=as_json_)
    end(done.told)


@keys.command("hash")
def hash_(
    config: Config = None,
    *,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Hash the key on the standard input, in place of a new one.")
    ] = False,
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
) -> None:
    """Make a key for `consumers[].keys` of a configuration: the key, and the hash to declare.

    The hash is good with one pepper alone: that of CONFIG, or else of the state directory.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        pepper = kept_pepper(state_dir) if config is None else _pepper_of(config, state_dir)
    except InvalidConfig as error:
        refuse(error, as_json=as_json_)
    except IdentityError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    key = _given() if stdin else new_key(secrets.token_bytes)
    digest = written_hash(key_hash(pepper, key.text.encode()))
    if as_json_:
        typer.echo(json.dumps({"id": key.id, "key": key.text, "hash": digest}, indent=2))
        return
    if not stdin:
        typer.echo(key.text)
        typer.echo(SHOWN_ONCE, err=True)
    typer.echo(f'- {{id: {key.id}, hash: "{digest}"}}')


def _pepper_of(config: Path, state_dir: Path) -> bytes:
    return store_settings(load(config, environment()).config, state_dir).pepper


def _given() -> Key:
    text = sys.stdin.readline().strip()
    found = key_id(text.encode())
    if found is None:
        raise typer.BadParameter("the standard input holds no key of ours, or its check is wrong", param_hint="--stdin")
    return Key(found, text)


def _end(text: str) -> int:
    """Seconds since the epoch, 0 for never."""
    if text == "never":
        return 0
    try:
        return moment_of(text) if text[:4].isdigit() and text[4:5] == "-" else int(SystemClock().now() + duration(text))
    except Mistake as error:
        raise typer.BadParameter(f"{error}; write 12h, 90d, 2030-12-31 or never", param_hint="--expires") from error


def _patterns(text: str) -> list[str]:
    """None at all would be a key for all models: who names an empty variable has not meant that."""
    found = [pattern.strip() for pattern in text.split(",") if pattern.strip()]
    if not found:
        raise typer.BadParameter("it names no model; write names or patterns, or leave it out", param_hint="--models")
    return found


def _seconds(text: str, option: str) -> float:
    try:
        return duration(text)
    except Mistake as error:
        raise typer.BadParameter(f"{error}; {error.cure}", param_hint=option) from error


def _show_issued(made: IssuedKey, *more: str, as_json_: bool) -> None:
    """The key alone on stdout, so that a script may take it; what is said of it on stderr."""
    show(made, made.key, as_json_=as_json_)
    if not as_json_:
        details = made.details
        until = f", until {moment(details.expires)}" if details.expires else ""
        said = (SHOWN_ONCE, f"{made.id} of {details.consumer}{until}: {everywhere(made.told)}", *more)
        typer.echo("\n".join(said), err=True)


def _listed(found: KeysReport, now: float) -> Iterator[str]:
    if not found.keys:
        yield "there are no stored keys"
        return
    yield from table([COLUMNS, *(_row(key, now) for key in found.keys)])
    if found.more:
        yield f"there may be more: --after {found.more}"


def _row(key: KeyReport, now: float) -> tuple[str, ...]:
    return (
        key.id,
        key.consumer,
        key.plan,
        " ".join(key.scopes),
        " ".join(key.roles),
        " ".join(key.allow_ips),
        " ".join(key.models),
        f"{key.state}, now {key.rotated_to}" if key.rotated_to else key.state,
        f"{moment(key.created_at)} by {key.created_by}",
        moment(key.expires) if key.expires else "never",
        age(key.last_used, now) if key.last_used else MISSING,
    )
