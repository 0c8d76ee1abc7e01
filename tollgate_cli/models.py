"""`tollgate models`: the language models of a running gateway: who answers, at what price, for whom, how they are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from control_plane.operations.models import SERVICE, ModelReport, ModelsReport, TargetReport
from tollgate_cli.connection import AsJson, ControlPlane, StateDir, printable
from tollgate_cli.table import table
from tollgate_cli.told import answer, show
from tollgate_pb.tollgate.admin.v1 import models_pb2 as models_pb

COLUMNS: Final = ("MODEL", "ALIASES", "UPSTREAM", "AS", "STATE", "PRICE", "PLANS", "FROM")


def models(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One model; all without it.", show_default=False)] = "",
    *,
    as_json_: AsJson = False,
    state_dir: StateDir = Path(".tollgate"),
    control_plane: ControlPlane = None,
) -> None:
    """List the language models, written and discovered. Prices are dollars for a million tokens, input/output.

    Of several upstreams, those after `then` are asked when all before it fail. A model is `up` where its upstream lists
    it, `away` while that does not answer but its models stay, `down` or `withdrawn` after that, `unlisted` where the
    upstream lists others, and `unwatched` where nobody asks the upstream.
    """
    place = (state_dir, control_plane)
    request = models_pb.ListModelsRequest(name=name)
    report = answer(place, "ListModels", request, models_pb.ModelsReport, ModelsReport, service=SERVICE)
    show(report, "\n".join(shown(report)), as_json_=as_json_)


def shown(report: ModelsReport) -> Iterator[str]:
    """The report as lines for people."""
    if not report.models:
        yield "there are no models"
        return
    yield from table([COLUMNS, *map(_row, report.models)])
    for reason in dict.fromkeys(model.reason for model in report.models if model.reason):
        yield f"  {printable(reason)}"


def _row(model: ModelReport) -> tuple[str, ...]:
    return (
        model.name,
        ", ".join(model.aliases),
        _upstreams(model),
        ", ".join(dict.fromkeys(target.model for target in model.targets)),
        model.state,
        " then ".join(dict.fromkeys(map(_price, model.targets))),
        "all" if model.everybody else ", ".join(model.plans),
        model.source,
    )


def _upstreams(model: ModelReport) -> str:
    """In the order in which they are asked; those that share calls stand together."""
    groups: dict[int, list[str]] = {}
    for target in model.targets:
        groups.setdefault(target.group, []).append(target.upstream)
    return " then ".join(", ".join(group) for _, group in sorted(groups.items()))


def _price(target: TargetReport) -> str:
    return f"{target.input_price:g}/{target.output_price:g}" if target.input_price or target.output_price else "free"
