"""What an edit leaves alone of many models stays the same objects; and what it changes is what a new builder makes."""

import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.config.discovered import Found, with_discovered
from control_plane.ir.build import Builder
from control_plane.ir.model import Gateway
from tests.support.compiled import compiled, route
from tests.support.models import found_models, model, with_models

Content = dict[str, Any]
Edit = Callable[[Content], object]
CONTENT = with_models(
    model("a", aliases=["b"], fallback=["c"]),
    model("c", "hosted", price={"input": 1}),
    {"name": "llama*", "upstream": "local", "max_tokens": 100},
    discovery={"upstreams": ["local", "native"]},
    plans={"free": {"models": ["a", "llama*"]}, "pro": {}},
    routes=[route("r", "/r", upstream="hosted")],
)
FOUND: Found = {"local": found_models("llama1", "x"), "native": found_models("x", "y")}


def built(builder: Builder, content: Content, found: Found = FOUND) -> Gateway:
    loaded = with_discovered(compiled(content).loaded, found)
    gateway = builder.build(loaded.config, loaded.referenced).gateway
    assert gateway is not None
    return gateway


def edited(edit: Edit) -> Content:
    content = deepcopy(CONTENT)
    edit(content)
    return content


EDITS = {
    "nothing": lambda it: it,
    "a price": lambda it: it["models"][1].update(price={"input": 2}),
    "a fallback": lambda it: it["models"][0].update(fallback=[]),
    "the model that another falls back to": lambda it: it["models"][1].update(upstream_model="z"),
    "an alias": lambda it: it["models"][0].update(aliases=["d"]),
    "a pattern": lambda it: it["models"][2].update(max_tokens=5),
    "no pattern": lambda it: it["models"].pop(2),
    "what a plan may call": lambda it: it["plans"]["free"].update(models=["a"]),
    "a plan": lambda it: it["plans"].update(new={"models": ["x"]}),
    "a rule of a plan": lambda it: it["plans"]["pro"].update(limits=[{"tokens": "5/minute"}]),
    "the path of an address": lambda it: it["upstreams"]["hosted"].update(url="http://api.example.com/v2"),
    "the api of an upstream": lambda it: it["upstreams"]["native"].update(api="ollama"),
    "the timeout of an upstream": lambda it: it["upstreams"]["local"].update(timeout="5s"),
    "the default of who may call": lambda it: it["defaults"].update(auth=["api_key"]),
    "who may call": lambda it: it.update(llm={"auth": ["api_key"]}),
    "a limit of all": lambda it: it.update(llm={"limits": [{"requests": "5/minute"}]}),
    "the default model": lambda it: it.update(llm={"default_model": "c"}),
    "ollama's clients": lambda it: it.update(llm={"ollama": False}),
    "who is asked": lambda it: it["discovery"].update(upstreams=["native"]) or it["models"].pop(2),
    "no discovery": lambda it: it.pop("discovery") and it["models"].pop(2) and it["plans"]["free"].update(models=["a"]),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edit_means_what_it_means_to_a_builder_that_begins_anew(edit: Edit) -> None:
    builder, content = Builder(), edited(edit)
    built(builder, CONTENT)

    assert built(builder, content) == built(Builder(), content)
    assert built(builder, CONTENT) == built(Builder(), CONTENT)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"local": FOUND["local"][:1]}, id="less"),
        pytest.param({**FOUND, "native": found_models("x", "y", "z")}, id="more"),
        pytest.param({**FOUND, "native": found_models("x", "y", context=9)}, id="described"),
        pytest.param({"native": FOUND["native"], "local": FOUND["local"][::-1]}, id="in-another-order"),
    ],
)
def test_what_is_found_means_what_it_means_to_a_builder_that_begins_anew(found: Found) -> None:
    builder = Builder()
    built(builder, CONTENT)

    assert built(builder, CONTENT, found) == built(Builder(), CONTENT, found)


def test_the_same_configuration_is_the_same_gateway() -> None:
    builder = Builder()

    assert built(builder, deepcopy(CONTENT)) is built(builder, deepcopy(CONTENT))


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        pytest.param(lambda it: it["routes"][0].update(timeout="5s"), {"r"}, id="a-route"),
        pytest.param(
            lambda it: it["models"][0].update(max_tokens=5),
            {"chat:a", "completions:a", "embeddings:a", "ollama-chat:a", "ollama-generate:a", "ollama-embed:a",
             "ollama-embeddings:a"},
            id="a-model",
        ),
        pytest.param(
            lambda it: it["plans"]["free"]["models"].append("y"),
            {"chat:y", "completions:y", "embeddings:y", "ollama-chat:y", "ollama-generate:y", "ollama-embed:y",
             "ollama-embeddings:y", "card:y", "show:y", "models:", "tags:"},
            id="what-a-plan-may-call",
        ),
    ],
)  # fmt: skip
def test_what_an_edit_leaves_alone_stays_the_same_objects(edit: Edit, changed: set[str]) -> None:
    builder = Builder()
    before = {item.name: item for item in built(builder, CONTENT).routes}
    after = {item.name: item for item in built(builder, edited(edit)).routes}

    assert {name for name, item in after.items() if before.get(name) is not item} == changed


@settings(deadline=None, max_examples=20)
@given(chance=st.randoms(use_true_random=False))
def test_the_order_of_a_file_means_nothing(chance: random.Random) -> None:
    content = deepcopy(CONTENT)
    content["models"] = chance.sample(content["models"], len(content["models"]))
    content["plans"] = dict(chance.sample(list(content["plans"].items()), 2))
    content["upstreams"] = dict(chance.sample(list(content["upstreams"].items()), 3))
    found = {name: tuple(chance.sample(models, len(models))) for name, models in FOUND.items()}

    assert built(Builder(), content, found) == built(Builder(), CONTENT)


def test_without_models_there_is_nothing_of_them() -> None:
    content = with_models(routes=[route("r", "/r", upstream="hosted")])
    gateway = built(Builder(), content)

    assert gateway == replace(gateway, llm=None)
    assert [item.name for item in gateway.routes] == ["r"]
