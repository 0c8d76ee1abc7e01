"""Which models there are, where some are written and others are listed by upstreams."""

from collections.abc import Mapping
from typing import Any

import pytest

from control_plane.config.discovered import DiscoveredModel
from control_plane.ir.model import Route
from tests.support.models import compiled_models, found_models, model, routes_of, with_models

DISCOVERY = {"upstreams": ["local", "native"]}
Found = Mapping[str, tuple[DiscoveredModel, ...]]


def chats(found: Found, *models: dict[str, Any], **changes: Any) -> dict[str, Route]:
    """The routes of chats, by model."""
    checked = compiled_models(with_models(*models, discovery=DISCOVERY, **changes), found)
    routes = routes_of(checked)
    return {name.removeprefix("chat:"): route for name, route in routes.items() if name.startswith("chat:")}


def upstreams(route: Route) -> list[str]:
    assert route.model is not None
    return [target.upstream for group in route.model.targets for target in group]


def test_what_upstreams_list_is_there_by_itself() -> None:
    assert set(chats({"local": found_models("a:1", "org/b")})) == {"", "a:1", "org/b"}


def test_models_of_upstreams_that_are_not_asked_are_not() -> None:
    assert set(chats({"hosted": found_models("a")})) == {""}


def test_a_written_model_wins_by_its_names_over_what_is_listed() -> None:
    found = chats({"local": found_models("a", "b")}, model("a", "hosted", aliases=["b"]))

    assert set(found) == {"", "a"}
    assert upstreams(found["a"]) == ["hosted"]


def test_whoever_lists_a_model_answers_for_it_the_first_first() -> None:
    found = chats({"native": found_models("a"), "local": found_models("a")})

    assert upstreams(found["a"]) == ["local", "native"]


@pytest.mark.parametrize("name", ["with space", "*", "a,b", "a~b", "é", "", "-a", "a" * 129])
def test_a_name_that_none_of_ours_may_be_is_left_out(name: str) -> None:
    assert set(chats({"local": found_models(name)})) == {""}


@pytest.mark.parametrize(
    ("name", "most"),
    [
        pytest.param("llama3.1:8b", 10, id="the-longest"),
        pytest.param("llama3.2:1b", 20, id="shorter"),
        pytest.param("nomic-embed", 30, id="by-its-end"),
        pytest.param("mistral", 40, id="any"),
    ],
)
def test_the_longest_pattern_says_what_holds(name: str, most: int) -> None:
    patterns = {"llama*": 20, "*": 40, "llama3.1:*": 10, "*-embed": 30}
    written = [{"name": pattern, "max_tokens": number} for pattern, number in patterns.items()]
    found = chats({"local": found_models(name)}, *written)[name]

    assert found.tokens is not None
    assert found.tokens.most == most


def test_a_pattern_of_an_upstream_is_for_what_that_one_lists_and_leaves_it_to_answer() -> None:
    pattern = {"name": "a*", "upstream": "native", "max_tokens": 5}
    found = chats({"local": found_models("a1", "a2"), "native": found_models("a2")}, pattern)

    assert (upstreams(found["a1"]), upstreams(found["a2"])) == (["local"], ["native"])
    assert [found[name].tokens.most for name in ("a1", "a2")] == [4096, 5]  # type: ignore[union-attr] - they count


def test_the_fallback_of_a_pattern_is_that_of_each_model() -> None:
    pattern = {"name": "*", "fallback": ["big", {"upstream": "native"}], "price": {"input": 1}}
    found = chats({"local": found_models("a")}, pattern, model("big", "hosted"))["a"].model

    assert found is not None
    assert [(item.upstream, item.model, item.input_price) for group in found.targets for item in group] == [
        ("local", "a", 10**6), ("hosted", "big", 0), ("native", "a", 10**6),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("embeds", "written", "expected"),
    [
        pytest.param(True, {}, {"embeddings"}, id="embeds"),
        pytest.param(False, {}, {"chat", "completions"}, id="talks"),
        pytest.param(None, {}, {"chat", "completions", "embeddings"}, id="nobody-says"),
        pytest.param(True, {"apis": ["chat"]}, {"chat"}, id="written"),
    ],
)
def test_a_listed_model_is_called_as_its_upstream_says(
    embeds: bool | None, written: dict[str, Any], expected: set[str]
) -> None:
    content = with_models({"name": "*", **written}, discovery=DISCOVERY, llm={"ollama": False})
    routes = routes_of(compiled_models(content, {"local": found_models("a", embeds=embeds)}))

    assert {name.partition(":")[0] for name, route in routes.items() if route.model is not None} == expected


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        pytest.param(("a:latest",), ("a", "a:latest"), id="left-out"),
        pytest.param(("a:latest", "a"), ("a:latest",), id="another-model"),
        pytest.param(("b:latest", "a:latest"), ("a", "a:latest"), id="of-several"),
    ],
)
def test_what_ollamas_clients_leave_out_of_a_name_is_an_alias(listed: tuple[str, ...], names: tuple[str, ...]) -> None:
    asked = chats({"local": found_models(*listed)})["a:latest"].asked

    assert asked is not None
    assert asked.names == names


def test_an_alias_that_is_written_is_no_other_ones() -> None:
    asked = chats({"local": found_models("a:latest")}, model("m", aliases=["a"]))["a:latest"].asked

    assert asked is not None
    assert asked.names == ("a:latest",)


def test_an_answer_is_no_longer_than_the_context() -> None:
    found = chats({"local": found_models("a", context=2048)})["a"].tokens

    assert found is not None
    assert found.most == 2048
