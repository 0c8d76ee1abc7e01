"""What an edit touched, by name; and parts of a gateway that stand by themselves."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from control_plane import compile as pipeline
from control_plane.ir.model import Gateway
from control_plane.ir.part import Changed, changed, named_upstreams, part
from control_plane.xds.names import ROUTES, ROUTES_TYPE
from tests.support.compiled import IDENTITY, WIRING, compiled, config, route
from tests.support.models import model, with_models

BEFORE = config(
    listeners={"public": {"address": "127.0.0.1:8800"}, "inner": {"address": "127.0.0.1:8802"}},
    upstreams={name: {"url": f"http://127.0.0.1:900{port}"} for port, name in enumerate(("email", "chat", "copy"))},
    identity=IDENTITY,
    plans={"free": {"limits": [{"requests": "5/minute"}]}},
    consumers=[{"name": "acme", "plan": "free"}],
    routes=[
        route("plain", "/plain"),
        route("other", "/other", upstream="chat"),
        route(
            "split", "/split", upstream=[{"name": "email", "weight": 1}, {"name": "chat", "weight": 1}], timeout="9s"
        ),
        route("copied", "/copied", mirror={"upstream": "copy"}),
        {key: value for key, value in route("said", "/said", respond={"body": "x"}).items() if key != "upstream"},
    ],
)
Edit = Callable[[dict[str, Any]], object]


def gateway(edit: Edit | None = None) -> Gateway:
    content = deepcopy(BEFORE)
    if edit is not None:
        edit(content)
    return compiled(content).gateway


EDITS = [
    pytest.param(lambda it: it["routes"].reverse(), Changed(), id="another order"),
    pytest.param(lambda it: it["routes"][0].update(timeout="5s"), Changed(routes=frozenset({"plain"})), id="a route"),
    pytest.param(lambda it: it["routes"].pop(0), Changed(routes=frozenset({"plain"})), id="a route is gone"),
    pytest.param(
        lambda it: it["routes"].append(route("fresh", "/fresh")), Changed(routes=frozenset({"fresh"})), id="a new route"
    ),
    pytest.param(
        lambda it: it["upstreams"]["copy"].update(connect_timeout="3s"),
        Changed(upstreams=frozenset({"copy"})),
        id="an upstream",
    ),
    pytest.param(
        lambda it: it["upstreams"]["chat"].update(timeout="5s"),
        Changed(routes=frozenset({"other"})),
        id="what a route takes from its upstream",
    ),
    pytest.param(
        lambda it: it["listeners"]["inner"].update(address="127.0.0.1:8803"),
        Changed(listeners=frozenset({"inner"})),
        id="a listener",
    ),
    pytest.param(
        lambda it: it["plans"]["free"]["limits"][0].update(requests="6/minute"), Changed(shared=True), id="a plan"
    ),
    pytest.param(lambda it: it["consumers"].pop(), Changed(shared=True), id="a consumer"),
    pytest.param(lambda it: it["identity"]["bearer_tokens"][0].update(name="x"), Changed(shared=True), id="a token"),
]


@pytest.mark.parametrize(("edit", "expected"), EDITS)
def test_what_differs_is_told_by_name(edit: Edit, expected: Changed) -> None:
    before, after = gateway(), gateway(edit)

    assert changed(after, before) == expected
    assert changed(before, after) == expected


def test_nothing_differs_from_itself() -> None:
    same = gateway()

    assert changed(same, same) == Changed()


@pytest.mark.parametrize(
    ("name", "upstreams"),
    [
        ("plain", {"email"}),
        ("split", {"email", "chat"}),
        ("copied", {"email", "copy"}),
        ("said", set()),
    ],
)
def test_a_part_has_its_routes_and_whoever_they_go_to(name: str, upstreams: set[str]) -> None:
    whole = gateway()

    found = part(whole, frozenset({name}), frozenset())

    assert [item.name for item in found.routes] == [name]
    assert {item.name for item in found.upstreams} == upstreams == named_upstreams(found.routes[0])
    assert (found.listeners, found.plans, found.bearer_tokens) == (whole.listeners, whole.plans, whole.bearer_tokens)


def test_a_part_has_the_upstreams_that_are_asked_for() -> None:
    found = part(gateway(), frozenset({"plain"}), frozenset({"chat"}))

    assert {item.name for item in found.upstreams} == {"email", "chat"}


def test_names_that_are_gone_are_no_part() -> None:
    found = part(gateway(), frozenset({"gone"}), frozenset({"gone"}))

    assert (found.routes, found.upstreams) == ((), ())


def test_a_part_keeps_the_order_in_which_routes_are_tried() -> None:
    whole = gateway()

    everything = part(whole, frozenset(item.name for item in whole.routes), frozenset())

    assert everything.routes == whole.routes


@pytest.mark.parametrize("name", [item["name"] for item in BEFORE["routes"]])
def test_every_part_can_be_published_by_itself(name: str) -> None:
    alone = part(gateway(), frozenset({name}), frozenset())

    envoy, _ = pipeline.snapshots(alone, WIRING)  # refuses what is inconsistent

    assert name.encode() in envoy.of(ROUTES_TYPE)[ROUTES].body


MODELS = with_models(
    model("a", fallback=[{"upstream": "hosted"}], apis=["chat"]),
    model("b", "native", apis=["chat"]),
    llm={"ollama": False},
)


def of_models(edit: Edit | None = None) -> Gateway:
    content = deepcopy(MODELS)
    if edit is not None:
        edit(content)
    return compiled(content).gateway


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        pytest.param(
            lambda it: it["models"][0].update(max_tokens=5), Changed(routes=frozenset({"chat:a"})), id="a model"
        ),
        pytest.param(
            lambda it: it["models"].pop(1),
            Changed(routes=frozenset({"chat:b", "card:b", "models:", "metadata:"})),
            id="a model is gone",
        ),
        pytest.param(
            lambda it: it["upstreams"]["hosted"].update(url="http://api.example.com/v2"),
            Changed(upstreams=frozenset({"hosted"})),
            id="the path of an upstream that is reached by a way of its own",
        ),
        pytest.param(
            lambda it: it["models"][0]["fallback"].append({"upstream": "native"}),
            Changed(routes=frozenset({"chat:a"})),
            id="a further way",
        ),
    ],
)
def test_what_an_edit_of_models_touches(edit: Edit, expected: Changed) -> None:
    assert changed(of_models(edit), of_models()) == expected


def test_a_part_with_a_model_has_its_ways_and_the_last_route_of_its_group() -> None:
    found = part(of_models(), frozenset({"chat:a"}), frozenset())

    assert [item.name for item in found.routes] == ["chat:a", "chat:"]
    assert [item.name for item in found.upstreams] == ["hosted", "local"]
    assert found.llm is not None
    assert [item.name for item in found.llm.variants] == ["llm:hosted:a~openai~failover", "llm:local:a~openai~failover"]


def test_a_part_with_an_upstream_has_the_ways_to_it() -> None:
    llm = part(of_models(), frozenset(), frozenset({"native"})).llm

    assert llm is not None
    assert [item.name for item in llm.variants] == ["llm:native:b~openai"]


def test_upstreams_of_a_model_are_those_that_its_ways_lead_to() -> None:
    routes = {item.name: item for item in of_models().routes}

    assert named_upstreams(routes["chat:a"]) == {"local", "hosted"}
