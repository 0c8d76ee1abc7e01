from pathlib import Path
from typing import Any

import pytest

from control_plane.checked import Checked, Checker
from control_plane.config.discovered import DiscoveredModel, Found
from control_plane.discovery.states import BackendState, Standing
from control_plane.operations.models import ModelOperations, ModelReport, NoSuchModel, model_counts, models_report
from control_plane.operations.reports import ModelCounts
from tests.support.compiled import IDENTITY, compiled, config, written

UPSTREAMS = {
    "ollama": {"url": "http://127.0.0.1:11434", "api": "ollama"},
    "hosted": {"url": "http://127.0.0.1:11435", "api": "openai"},
}


def checked(folder: Path, found: Found, **content: Any) -> Checked:
    file = written(folder, config(**{"upstreams": UPSTREAMS, "llm": {"auth": "none"}, **content}))
    return Checker().read(file, {}, None, found)


def found(*names: str) -> Found:
    return {"ollama": tuple(map(DiscoveredModel, names))}


def backend(standing: Standing = Standing.UP, *models: str, reason: str = "") -> BackendState:
    return BackendState("ollama", "ollama", standing, 1.0, reason, models, 1.0, required=False)


DISCOVERY = {"upstreams": ["ollama"]}


def report(
    folder: Path, state: BackendState, discovered: Found | None = None, **content: Any
) -> dict[str, ModelReport]:
    source = checked(folder, discovered or {}, **content)
    return {model.name: model for model in models_report(source, [state]).models}


def test_what_is_told_of_a_written_model(tmp_path: Path):
    models = [
        {
            "name": "smart", "upstream": "hosted", "upstream_model": "gpt-4o", "aliases": ["best"],
            "fallback": [{"upstream": "ollama", "model": "llama3.1:8b", "price": {"input": 0.5, "output": 1}}],
            "price": {"input": 2.5, "output": 10}, "apis": ["chat"],
        }
    ]  # fmt: skip
    plans = {"free": {"models": []}, "pro": {"models": ["smart"]}}
    smart = report(tmp_path, backend(), models=models, plans=plans, llm={"auth": ["bearer"]}, identity=IDENTITY)[
        "smart"
    ]

    assert (smart.aliases, smart.apis, smart.state) == (("best",), ("chat",), "unwatched")
    assert [(to.group, to.upstream, to.model, to.input_price, to.output_price) for to in smart.targets] == [
        (0, "hosted", "gpt-4o", 2.5, 10.0),
        (1, "ollama", "llama3.1:8b", 0.5, 1.0),
    ]
    assert (smart.plans, smart.everybody) == (("pro",), False)
    assert Path(smart.source.split(":")[0]).name == "gateway.yaml"
    assert smart.source.split(":")[1].isdigit()


@pytest.mark.parametrize(
    ("state", "shown", "reason"),
    [
        pytest.param(backend(Standing.UP, "a:1"), "up", "", id="listed"),
        pytest.param(backend(Standing.UP, "b:1"), "unlisted", "ollama does not list a:1", id="another-is"),
        pytest.param(backend(Standing.AWAY, "a:1", reason="gone"), "away", "ollama: gone", id="silent"),
        pytest.param(backend(Standing.DOWN, "a:1", reason="gone"), "down", "ollama: gone", id="too-long"),
    ],
)
def test_a_written_model_is_as_its_upstream_is(tmp_path: Path, state: BackendState, shown: str, reason: str):
    models = [{"name": "mine", "upstream": "ollama", "upstream_model": "a:1"}]
    mine = report(tmp_path, state, models=models, discovery=DISCOVERY)["mine"]

    assert (mine.state, mine.reason) == (shown, reason)


def test_a_name_without_a_tag_is_listed_with_the_usual_one(tmp_path: Path):
    models = [{"name": "nomic", "upstream": "ollama"}]

    assert report(tmp_path, backend(Standing.UP, "nomic:latest"), models=models)["nomic"].state == "up"


def test_the_best_of_several_targets_counts(tmp_path: Path):
    models = [{"name": "a:1", "upstream": "ollama", "fallback": [{"upstream": "hosted"}]}]

    assert report(tmp_path, backend(Standing.DOWN, reason="gone"), models=models)["a:1"].state == "unwatched"


def test_discovered_models_say_so_and_withdrawn_ones_are_still_told(tmp_path: Path):
    state = backend(Standing.UP, "a:1", "b:1")
    here = report(tmp_path, state, found("a:1", "b:1"), discovery=DISCOVERY)
    gone = report(tmp_path, backend(Standing.DOWN, "a:1", reason="off"), discovery=DISCOVERY)

    assert {(model.name, model.source, model.state) for model in here.values()} == {
        ("a:1", "discovered", "up"),
        ("b:1", "discovered", "up"),
    }
    assert here["a:1"].everybody
    assert (gone["a:1"].state, gone["a:1"].reason) == ("withdrawn", "ollama: off")


def test_how_many_there_are(tmp_path: Path):
    models = [{"name": "mine", "upstream": "hosted"}]
    state = backend(Standing.UP, "a:1")

    assert model_counts(compiled(config()), []) is None
    source = checked(tmp_path, found("a:1"), models=models, discovery=DISCOVERY)
    assert model_counts(source, [state]) == ModelCounts(written=1, discovered=1)
    source = checked(tmp_path, {}, models=models, discovery=DISCOVERY)
    assert model_counts(source, [backend(Standing.DOWN, "a:1")]) == ModelCounts(written=1, withdrawn=1)


def test_one_model_by_whatever_clients_call_it(tmp_path: Path):
    models = [{"name": "mine", "upstream": "hosted", "aliases": ["ours"]}, {"name": "other", "upstream": "hosted"}]
    source = checked(tmp_path, {}, models=models)
    operations = ModelOperations(lambda: source, list)

    assert [model.name for model in operations.models("ours").models] == ["mine"]
    assert len(operations.models("").models) == 2
    with pytest.raises(NoSuchModel, match="there is no model 'none'"):
        operations.models("none")
