"""`tollgate audit`: who changed what, when and from where; and whether the trail is as it was written.

It reads the ledger's database itself: it needs no running gateway, and trusts none.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer
from sqlalchemy import Connection

from tollgate_cli.connection import AsJson, StateDir, printable
from tollgate_cli.table import moment, table
from tollgate_cli.usage import NOT_RIGHT, parsed_moment, said, verified
from usage_ledger.audit.book import ends
from usage_ledger.audit.reports import Asked, Told, trail
from usage_ledger.audit.tail import HEAD_NAME
from usage_ledger.audit.verify import verify_trail
from usage_ledger.database import Database, database_url
from usage_ledger.errors import LedgerUnavailable
from usage_ledger.heads import BadHeads, as_json, read

T = TypeVar("T")

HEAD: Final = ("TIME", "ACTOR", "FROM", "ACTION", "OBJECT", "RESULT", "WHAT")
# Characters of the last column.
LONGEST_TOLD: Final = 100

audit = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    help="Who changed what, when and from where; and whether the trail is as it was written.",
)

LedgerDatabase = Annotated[
    str,
    typer.Option(
        "--database",
        envvar="TOLLGATE_LEDGER_DATABASE",
        help="postgresql://USER@HOST/NAME; without it, the state directory's.",
        show_default=False,
    ),
]


@audit.callback()
def events(  # noqa: PLR0913 - an option each
    ctx: typer.Context,
    *,
    from_: Annotated[
        str, typer.Option("--from", help="2030-12-31 or 2030-12-31T13:30Z, UTC.", show_default=False)
    ] = "",
    to: Annotated[str, typer.Option(help="The first moment that does not count.", show_default=False)] = "",
    actor: Annotated[str, typer.Option(help="Only what this one did; `name*`: all that begin so.")] = "",
    action: Annotated[str, typer.Option(help="Such as key.revoke, or `key.*`.")] = "",
    object_: Annotated[str, typer.Option("--object", help="Such as 'consumer acme', or 'key *'.")] = "",
    result: Annotated[str, typer.Option(help="done, refused, failed or unknown.")] = "",
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1)] = 100,
    as_json_: AsJson = False,
    database: LedgerDatabase = "",
    state_dir: StateDir = Path(".tollgate"),
) -> None:
    """What was changed, the oldest first."""
    if ctx.invoked_subcommand is not None:
        return
    asked = Asked(
        begin=_milliseconds(from_, "--from"),
        end=_milliseconds(to, "--to"),
        actor=actor,
        action=action,
        object=object_,
        result=result,
        limit=limit,
    )
    found = _read(database, state_dir, lambda db: trail(db, asked))
    if as_json_:
        for told in found:
            typer.echo(json.dumps(_json(told)))
    else:
        typer.echo("\n".join(table([list(HEAD), *map(_row, found)])) if found else "nothing was changed")


@audit.command("head")
def head_(*, database: LedgerDatabase = "", state_dir: StateDir = Path(".tollgate")) -> None:
    """Print the end of every chain, a JSON object a line: kept elsewhere, it shows that rows were cut off."""
    for head in _read(database, state_dir, ends):
        typer.echo(json.dumps(as_json(head)))


@audit.command("verify")
def verify_(
    *,
    heads: Annotated[
        Path | None,
        typer.Option(help="What `audit head` printed before; without it, what the state directory keeps.", exists=True),
    ] = None,
    database: LedgerDatabase = "",
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
) -> None:
    """Read every row, and say which were changed, removed or inserted."""
    kept = heads or (state_dir / HEAD_NAME if (state_dir / HEAD_NAME).exists() else None)
    try:
        known = () if kept is None else read(kept.read_text())  # first: the database is never behind it
    except (BadHeads, OSError) as error:
        _fail(error)
    found = _read(database, state_dir, lambda db: verify_trail(db, known))
    typer.echo(json.dumps(verified(found), indent=2) if as_json_ else "\n".join(said(found)))
    if found.findings:
        raise typer.Exit(NOT_RIGHT)


def _read(database: str, state_dir: Path, work: Callable[[Connection], T]) -> T:
    try:
        return Database(database_url(database, state_dir), changes=False).run(work)
    except LedgerUnavailable as error:
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    typer.echo(f"error: {printable(str(error))}", err=True)
    raise typer.Exit(1) from error


def _milliseconds(text: str, option: str) -> int | None:
    return parsed_moment(text, option) * 1000 if text else None


def _row(told: Told) -> list[str]:
    entry = told.entry
    what = " ".join(_what(told))
    shown = what if len(what) <= LONGEST_TOLD else f"{what[: LONGEST_TOLD - 1]}…"
    return [
        printable(text)
        for text in (
            moment(entry.at // 1000), entry.actor, entry.origin, entry.action, entry.object, entry.result, shown,
        )
    ]  # fmt: skip


def _what(told: Told) -> Iterator[str]:
    entry = told.entry
    if entry.why:
        yield entry.why
    if entry.old:
        yield f"{entry.old} ->"
    if entry.new:
        yield entry.new


def _json(told: Told) -> dict[str, Any]:  # Any: JSON
    entry = told.entry
    return {
        "writer": told.writer,
        "seq": told.seq,
        **entry._asdict(),
        "at": datetime.fromtimestamp(entry.at / 1000, UTC).isoformat(timespec="milliseconds"),
        "old": None if entry.old is None else json.loads(entry.old),
        "new": None if entry.new is None else json.loads(entry.new),
    }
