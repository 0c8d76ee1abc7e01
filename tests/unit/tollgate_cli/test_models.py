"""`tollgate models` against a real gRPC server whose answers the test decides."""

import json

from click.testing import Result
from typer.testing import CliRunner

from control_plane.operations.models import ModelReport, TargetReport
from tests.support.operations import StandIn, state_of
from tollgate_cli.main import app

MODELS = (
    ModelReport(
        "llama3.1:8b", "discovered", "away", "ollama: it \x1b[31mis off",
        targets=(TargetReport("ollama", "llama3.1:8b"),), everybody=True,
    ),
    ModelReport(
        "smart", "gateway.yaml:7:5", "up", "", ("best",), ("chat",),
        (
            TargetReport("a", "gpt-4o", 0, 3, 2.5, 10.0), TargetReport("b", "gpt-4o", 0, 1, 2.5, 10.0),
            TargetReport("ollama", "llama3.1:8b", 1),
        ),
        ("pro", "team"),
    ),
)  # fmt: skip


def tollgate(*arguments: str, models: tuple[ModelReport, ...] = MODELS) -> Result:
    with state_of(StandIn(known=models)) as folder:
        return CliRunner().invoke(app, ["models", *arguments, "--state-dir", str(folder)], env={"COLUMNS": "200"})


def test_models_for_people():
    result = tollgate()

    assert result.exit_code == 0, result.output
    assert (
        result.stdout
        == """\
MODEL        ALIASES  UPSTREAM          AS                   STATE  PRICE             PLANS      FROM
llama3.1:8b  -        ollama            llama3.1:8b          away   free              all        discovered
smart        best     a, b then ollama  gpt-4o, llama3.1:8b  up     2.5/10 then free  pro, team  gateway.yaml:7:5
  ollama: it \\x1b[31mis off
"""
    )


def test_models_for_programs():
    (model,) = json.loads(tollgate("smart", "--json").stdout)["models"]

    assert (model["name"], model["aliases"], model["plans"], model["everybody"]) == (
        "smart", ["best"], ["pro", "team"], False,
    )  # fmt: skip
    assert [target["upstream"] for target in model["targets"]] == ["a", "b", "ollama"]


def test_one_that_there_is_not():
    result = tollgate("none")

    assert (result.exit_code, result.stderr) == (1, "error: there is no model 'none'\n")


def test_none_at_all():
    assert tollgate(models=()).stdout == "there are no models\n"
