"""`tollgate usage`: what was used, by whom and for how much; and whether the ledger is as it was written."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import grpc
import typer
from google.protobuf.message import Message

from service_kit.clock import SystemClock
from service_kit.contract import MISSING
from service_kit.endpoint import EndpointError, parse_endpoint
from tollgate_cli.connection import CHANNEL_OPTIONS, SECONDS, AsJson, NoGateway, StateDir, fail, printable
from tollgate_cli.supervisor.layout import layout
from tollgate_cli.table import moment, table
from tollgate_pb.tollgate.admin.v1 import usage_pb2 as usage_pb
from usage_ledger.database import Database, database_url
from usage_ledger.errors import LedgerUnavailable
from usage_ledger.heads import HEAD_NAME, BadHeads, as_json, read
from usage_ledger.reports import TIMES
from usage_ledger.rpc import SERVICE
from usage_ledger.tables import SUMS
from usage_ledger.verify import Verified, verify

LEDGER_VARIABLE: Final = "TOLLGATE_LEDGER"
# Something is not as it should be.
NOT_RIGHT: Final = 3
NANO: Final = 1_000_000_000
MILLISECONDS: Final = 1000
# What a spreadsheet takes for the beginning of a formula, or leaves out before one.
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
FORMS: Final = ("%Y-%m-%d", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%HZ")
# What people read of a line; programs get all.
SHOWN: Final = ("calls", "refused", "failed", "tokens_in", "tokens_out", "unsettled")

M = TypeVar("M", bound=Message)

usage = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    help="What was used, from the ledger; and whether the ledger is as it was written.",
)

LedgerAddress = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        envvar=LEDGER_VARIABLE,
        help="The ledger, unix:PATH; without it, the state directory's.",
        show_default=False,
    ),
]


@usage.callback()
def report(  # noqa: PLR0913 - an option each
    ctx: typer.Context,
    *,
    by: Annotated[
        str,
        typer.Option(
            help="Parts by which it is told apart, with commas: consumer, tenant, plan, key_id, route, model, usage, "
            "upstream, day, hour."
        ),
    ] = "consumer",
    from_: Annotated[
        str,
        typer.Option("--from", help="2030-12-31 or 2030-12-31T13Z, UTC; without it, this month.", show_default=False),
    ] = "",
    to: Annotated[
        str, typer.Option(help="The first hour that does not count; without it, now.", show_default=False)
    ] = "",
    consumer: Annotated[str, typer.Option(help="Only this consumer.", show_default=False)] = "",
    only: Annotated[list[str] | None, typer.Option(help="PART=VALUE; may be repeated.", show_default=False)] = None,
    as_json_: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV for spreadsheets.")] = False,
    ledger: LedgerAddress = None,
    state_dir: StateDir = Path(".tollgate"),
) -> None:
    """What was used: calls, tokens and dollars of a time."""
    if ctx.invoked_subcommand is not None:
        return
    if as_json_ and as_csv:
        raise typer.BadParameter("--json and --csv are two shapes of one answer: keep one of them")
    request = usage_pb.UsageRequest(
        by=[part for part in by.split(",") if part],
        begin=parsed_moment(from_, "--from") if from_ else _this_month(),
        end=parsed_moment(to, "--to"),
        only={**dict(map(_pair, only or ())), **({"consumer": consumer} if consumer else {})},
    )
    found = _asked((state_dir, ledger), "ReportUsage", request, usage_pb.UsageReport)
    rows = [_row(found.by, line) for line in found.lines]
    if as_json_:
        typer.echo(json.dumps({"by": list(found.by), "usage": rows}, indent=2))
    elif as_csv:
        typer.echo(_csv((*found.by, *SUMS, "usd"), rows), nl=False)
    else:
        typer.echo("\n".join(_lines(found.by, rows)))


@usage.command("head")
def head_(*, ledger: LedgerAddress = None, state_dir: StateDir = Path(".tollgate")) -> None:
    """Print the end of every chain, a JSON object a line: kept elsewhere, it shows that rows were cut off."""
    found = _asked((state_dir, ledger), "ListHeads", usage_pb.ListHeadsRequest(), usage_pb.HeadsReport)
    for head in found.heads:
        typer.echo(json.dumps({"writer": head.writer, "seq": head.seq, "hash": head.hash}))


@usage.command("verify")
def verify_(
    *,
    heads: Annotated[
        Path | None,
        typer.Option(help="What `usage head` printed before; without it, what the state directory keeps.", exists=True),
    ] = None,
    database: Annotated[
        str,
        typer.Option(
            envvar="TOLLGATE_LEDGER_DATABASE",
            help="postgresql://USER@HOST/NAME; without it, the state directory's.",
            show_default=False,
        ),
    ] = "",
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
) -> None:
    """Read every row, and say which were changed, removed, inserted or moved; it needs no running gateway."""
    kept = heads or (state_dir / HEAD_NAME if (state_dir / HEAD_NAME).exists() else None)
    try:
        ends = () if kept is None else read(kept.read_text())  # first: the database is never behind it
        found = Database(database_url(database, state_dir), changes=False).run(lambda db: verify(db, ends))
    except (LedgerUnavailable, BadHeads, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json_:
        typer.echo(json.dumps(verified(found), indent=2))
    else:
        typer.echo("\n".join(said(found)))
    if found.findings:
        raise typer.Exit(NOT_RIGHT)


def _asked(place: tuple[Path, str | None], method: str, request: Message, response: type[M]) -> M:
    state_dir, address = place
    try:
        endpoint = parse_endpoint(address) if address else layout(state_dir).sockets.ledger
        with grpc.insecure_channel(endpoint.grpc_target, CHANNEL_OPTIONS) as channel:
            rpc = channel.unary_unary(
                f"/{SERVICE}/{method}",
                request_serializer=type(request).SerializeToString,
                response_deserializer=response.FromString,
            )
            answer: M = rpc(request, timeout=SECONDS)
    except EndpointError as error:
        fail(NoGateway(str(error)))
    except grpc.RpcError as error:
        fail(NoGateway(_refused(error, str(endpoint))))
    return answer


def _refused(error: Any, at: str) -> str:  # Any: grpc.RpcError is a call, which its annotations do not know
    details = printable(error.details() or "")
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return (
            f"no ledger answers at {at} ({details}); start it with `tollgate run`, or name its --state-dir or --ledger"
        )
    return details


def parsed_moment(text: str, option: str) -> int:
    """Seconds since the epoch; 0 for none."""
    for form in FORMS if text else ():
        try:
            return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp())
        except ValueError:
            continue
    if text:
        raise typer.BadParameter("write 2030-12-31 or 2030-12-31T13Z, UTC", param_hint=option)
    return 0


def _this_month() -> int:
    now = datetime.fromtimestamp(SystemClock().now(), UTC)
    return int(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp())


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter("write PART=VALUE, such as model=gpt-4o", param_hint="--only")
    return name, value


def _row(by: Iterable[str], line: usage_pb.UsageLine) -> dict[str, Any]:  # Any: JSON
    parts = {
        name: moment(int(part)).replace(" ", "T") if name in TIMES else part
        for name, part in zip(by, line.parts, strict=True)
    }
    usd = f"{line.amount // NANO}.{line.amount % NANO:09}"
    return {**parts, **{name: getattr(line, name) for name in SUMS}, "usd": usd}


def _csv(names: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _harmless(value: object) -> object:
    """A name that a spreadsheet would take for a formula is marked as text: clients choose some."""
    return f"'{value}" if isinstance(value, str) and value != MISSING and value.startswith(FORMULAS) else value


def _lines(by: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    names = (*by, *SHOWN, "usd")
    head = [name.upper().replace("_", " ") for name in names]
    found = [[str(row[name]) for name in names] for row in rows]
    return table([head, *found]) if found else ["nothing was used"]


def verified(found: Verified) -> Mapping[str, Any]:  # Any: JSON
    """What was looked at, for programs."""
    return {
        "rows": found.rows,
        "removed": found.removed,
        "removed_until": moment(found.removed_until / MILLISECONDS) if found.removed_until else None,
        "heads": [as_json(head) for head in found.heads],
        "findings": [vars(finding) for finding in found.findings],
    }


def said(found: Verified) -> Iterable[str]:
    """The same, for people."""
    chains = f"{len(found.heads)} chain{'' if len(found.heads) == 1 else 's'}"
    until = f", the last of {moment(found.removed_until / MILLISECONDS)}" if found.removed_until else ""
    gone = f"; {found.removed} more went for their age{until}" if found.removed else ""
    yield f"{found.rows} rows in {chains}{gone}"
    for finding in found.findings:
        rows = f"{finding.writer}: rows {finding.first} to {finding.last}" if finding.writer else "the sums"
        yield printable(f"{finding.kind}: {rows}: {finding.said}")
    yield "nothing is wrong" if not found.findings else f"{len(found.findings)} findings"
