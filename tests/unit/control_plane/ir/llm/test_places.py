"""Where a refused route of a model is told to stand."""

import pytest

from control_plane.ir.llm.places import place_of
from tests.support.compiled import route
from tests.support.models import compiled_models, found_models, model, with_models

CONTENT = with_models(
    model("a:1"),
    {"name": "a:*"},
    {"name": "*"},
    discovery={"upstreams": ["local"]},
    routes=[route("r", "/r", upstream="local")],
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("chat:a:1", ("models", 0), id="the-model"),
        pytest.param("ollama-chat:a:2", ("models", 1), id="the-longest-pattern"),
        pytest.param("card:b", ("models", 2), id="a-pattern"),
        pytest.param("chat:", ("discovery",), id="all"),
    ],
)
def test_a_route_of_a_model_stands_where_its_model_does(name: str, expected: tuple[str | int, ...]) -> None:
    assert place_of(name, compiled_models(CONTENT).loaded.config) == expected


def test_what_was_found_stands_at_discovery() -> None:
    config = compiled_models({**CONTENT, "models": []}).loaded.config

    assert place_of("chat:x", config) == ("discovery",)


def test_without_discovery_it_stands_at_the_models() -> None:
    config = compiled_models(with_models(model("a"))).loaded.config

    assert place_of("chat:", config) == ("models",)


def test_the_line_is_that_of_the_file() -> None:
    checked = compiled_models(CONTENT, {"local": found_models("b")})

    lines = {name: checked.place("routes", name).line for name in ("r", "chat:a:1", "chat:b", "chat:")}
    assert len(set(lines.values())) == len(lines)
    assert all(lines.values())
