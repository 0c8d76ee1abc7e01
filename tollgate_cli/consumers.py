"""`tollgate consumers`: those who call, made at run time beside those that the configuration declares."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from control_plane.operations.identities import ChangedConsumer, ConsumerReport, ConsumersReport, DeletedConsumer
from tollgate_cli.connection import LARGEST_NUMBER, AsJson, ControlPlane, StateDir
from tollgate_cli.table import moment, table
from tollgate_cli.told import answer, end, everywhere, show
from tollgate_pb.tollgate.admin.v1 import keys_pb2 as keys_pb

COLUMNS = ("NAME", "TENANT", "PLAN", "CREATED")

consumers = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Make, list, change and delete the stored consumers of a running gateway.",
)

Name = Annotated[str, typer.Argument(help="The consumer's name.")]


@consumers.command()
def create(
    name: Name,
    *,
    tenant: Annotated[str, typer.Option(help="The organisation it is of.", show_default=False)] = "",
    plan: Annotated[str, typer.Option(help="Its plan; without it, `defaults.plan`.", show_default=False)] = "",
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """Make a consumer; `tollgate keys create` makes its keys."""
    request = keys_pb.ConsumerRequest(name=name, tenant=tenant, plan=plan)
    made = answer((state_dir, control_plane), "CreateConsumer", request, keys_pb.ChangedConsumer, ChangedConsumer)
    show(made, f"{name} is there: {everywhere(made.told)}", as_json_=as_json_)
    end(made.told)


@consumers.command("list")
def list_(
    *,
    after: Annotated[str, typer.Option(help="The last name of the page before.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=LARGEST_NUMBER, help="How many, by name.")] = 100,
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """List the stored consumers; those of the configuration are in it."""
    request = keys_pb.ListConsumersRequest(after=after, limit=limit)
    found = answer((state_dir, control_plane), "ListConsumers", request, keys_pb.ConsumersReport, ConsumersReport)
    show(found, "\n".join(_listed(found)), as_json_=as_json_)


@consumers.command()
def update(
    name: Name,
    *,
    tenant: Annotated[str | None, typer.Option(help="The organisation; empty for none.", show_default=False)] = None,
    plan: Annotated[str | None, typer.Option(help="The plan; empty for `defaults.plan`.", show_default=False)] = None,
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """Change a stored consumer; what is not named stays."""
    if tenant is None and plan is None:
        raise typer.BadParameter("name what is to change: --tenant, --plan or both")
    request = keys_pb.UpdateConsumerRequest(name=name, tenant=tenant, plan=plan)
    made = answer((state_dir, control_plane), "UpdateConsumer", request, keys_pb.ChangedConsumer, ChangedConsumer)
    show(made, f"{name} is changed: {everywhere(made.told)}", as_json_=as_json_)
    end(made.told)


@consumers.command()
def delete(
    name: Name,
    *,
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """Delete a stored consumer and revoke its keys."""
    request = keys_pb.DeleteConsumerRequest(name=name)
    done = answer((state_dir, control_plane), "DeleteConsumer", request, keys_pb.DeletedConsumer, DeletedConsumer)
    revoked = f"{done.revoked} key{'' if done.revoked == 1 else 's'} revoked"
    show(done, f"{name} is deleted, {revoked}: {everywhere(done.told)}", as_json_=as_json_)
    end(done.told)


def _listed(found: ConsumersReport) -> Iterator[str]:
    if not found.consumers:
        yield "there are no stored consumers"
        return
    yield from table([COLUMNS, *map(_row, found.consumers)])
    if found.more:
        yield f"there may be more: --after {found.more}"


def _row(consumer: ConsumerReport) -> tuple[str, ...]:
    created = f"{moment(consumer.created_at)} by {consumer.created_by}"
    return (consumer.name, consumer.tenant, consumer.plan, created)
