"""`tollgate quota`: how callers stand with their quotas, and more of one, or all of it again, until its window ends."""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Final

import typer
from google.protobuf.message import Message

from control_plane.operations.quotas import SERVICE, QuotasReport, QuotaState
from service_kit.contract import USAGE_USD
from service_kit.metering import NANO_IN_DOLLAR, dollars
from tollgate_cli.connection import AsJson, ControlPlane, StateDir
from tollgate_cli.table import moment, table
from tollgate_cli.told import answer, show
from tollgate_pb.tollgate.admin.v1 import quotas_pb2 as quotas_pb

COLUMNS: Final = ("QUOTA", "FOR", "USED", "UNDER WAY", "LIMIT", "GRANTED", "LEFT", "RESETS")
# Counters are exact below it.
MOST: Final = 2**50

quota = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Show, grant and reset the quotas of callers of a running gateway.",
)

Consumer = Annotated[str, typer.Option(help="Whose: a consumer, with its own plan and tenant.", show_default=False)]
Tenant = Annotated[
    str, typer.Option(help="Whose: all of an organisation; beside a subject, what its tokens say.", show_default=False)
]
Model = Annotated[
    str, typer.Option(help="Of which language model, for quotas that count each apart.", show_default=False)
]
Subject = Annotated[str, typer.Option(help="Whose: a subject of this tenant, or of none.", show_default=False)]
Plan = Annotated[
    str, typer.Option(help="In place of the plan of the consumer, or `defaults.plan`.", show_default=False)
]
Quota = Annotated[str, typer.Argument(metavar="QUOTA", help="A quota, as `tollgate quota list` names it.")]


@quota.command("list")
def list_(
    *,
    consumer: Consumer = "",
    tenant: Tenant = "",
    subject: Subject = "",
    model: Model = "",
    plan: Plan = "",
    usage: Annotated[str, typer.Option(help="Only quotas of this usage.", show_default=False)] = "",
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """Show how a caller stands with every quota that counts its calls. Money is in dollars, in JSON in nano-dollars."""
    caller = _caller(consumer=consumer, tenant=tenant, subject=subject, plan=plan, model=model)
    request = quotas_pb.ListQuotasRequest(caller=caller, usage=usage)
    _show(_answer((state_dir, control_plane), "ListQuotas", request), as_json_=as_json_)


@quota.command()
def grant(  # noqa: PLR0913 - an option each
    quota_: Quota,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="How much more; of `usd` in dollars: 2.50.")],
    *,
    consumer: Consumer = "",
    tenant: Tenant = "",
    subject: Subject = "",
    model: Model = "",
    plan: Plan = "",
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """Allow more of a quota until its window ends. Grants add up."""
    place, caller = (
        (state_dir, control_plane),
        _caller(consumer=consumer, tenant=tenant, subject=subject, plan=plan, model=model),
    )
    number = _number(amount)
    known = _answer(place, "ListQuotas", quotas_pb.ListQuotasRequest(caller=caller)).quotas
    is_money = any(state.quota == quota_ and state.usage == USAGE_USD for state in known)
    request = quotas_pb.GrantQuotaRequest(caller=caller, quota=quota_, amount=_whole(number, is_money=is_money))
    _show(_answer(place, "GrantQuota", request), as_json_=as_json_)


@quota.command()
def reset(
    quota_: Quota,
    *,
    consumer: Consumer = "",
    tenant: Tenant = "",
    subject: Subject = "",
    model: Model = "",
    plan: Plan = "",
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """Begin a quota's window again, as if nothing had been used. Calls under way stay counted, and what was granted."""
    caller = _caller(consumer=consumer, tenant=tenant, subject=subject, plan=plan, model=model)
    request = quotas_pb.ResetQuotaRequest(caller=caller, quota=quota_)
    _show(_answer((state_dir, control_plane), "ResetQuota", request), as_json_=as_json_)


def _answer(place: tuple[Path, str | None], method: str, request: Message) -> QuotasReport:
    return answer(place, method, request, quotas_pb.QuotasReport, QuotasReport, service=SERVICE)


def _caller(*, consumer: str, tenant: str, subject: str, plan: str, model: str) -> quotas_pb.Caller:
    if not (consumer or tenant or subject or plan):
        raise typer.BadParameter("name one of them", param_hint="--consumer, --tenant, --subject, --plan")
    return quotas_pb.Caller(consumer=consumer, tenant=tenant, subject=subject, plan=plan, model=model)


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text.removeprefix("$"))
    except InvalidOperation as error:
        raise typer.BadParameter("it is no number", param_hint="AMOUNT") from error
    if not (number.is_finite() and 0 < number <= MOST):
        raise typer.BadParameter(f"choose a number above 0, and at most {MOST}", param_hint="AMOUNT")
    return number


def _whole(number: Decimal, *, is_money: bool) -> int:
    amount = number * NANO_IN_DOLLAR if is_money else number
    if amount != int(amount) or amount > MOST:
        most = MOST // NANO_IN_DOLLAR if is_money else MOST
        raise typer.BadParameter(
            f"write {'dollars with at most nine decimals' if is_money else 'a whole number'}, at most {most}",
            param_hint="AMOUNT",
        )
    return int(amount)


def _show(report: QuotasReport, *, as_json_: bool) -> None:
    show(report, "\n".join(_listed(report)), as_json_=as_json_)


def _listed(report: QuotasReport) -> Iterator[str]:
    if not report.quotas:
        yield "no quota counts this caller's calls"
        return
    yield from table([COLUMNS, *map(_row, report.quotas)])


def _row(state: QuotaState) -> tuple[str, ...]:
    left = max(0, state.limit + state.granted - state.used)
    return (
        f"{state.quota} (report)" if state.report else state.quota,
        " ".join(f"{part}={name}" for part, name in sorted(state.per.items())),
        _amount(state.used, state.usage),
        _amount(state.held, state.usage) if state.held else "",
        f"{_amount(state.limit, state.usage)}/{state.window}",
        _amount(state.granted, state.usage) if state.granted else "",
        _amount(left, state.usage),
        moment(state.resets),
    )


def _amount(amount: int, usage: str) -> str:
    return f"${dollars(amount)}" if usage == USAGE_USD else str(amount)
