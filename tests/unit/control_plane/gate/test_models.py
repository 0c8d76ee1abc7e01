"""Models in an edit of which a part is refused: whose fault it is, what stays, and what goes live."""

from typing import Any

import pytest

from control_plane.compile import Compiler
from control_plane.gate.blame import blamed
from control_plane.gate.parts import ROUTES, UPSTREAMS, Part, edited, elements
from control_plane.gate.quarantine import Held, Inseparable, held_back
from control_plane.ir.model import Gateway, Variant
from control_plane.publication.outcome import NodeRefusal, Outcome
from control_plane.server.status import Refusal
from control_plane.xds import names
from service_kit.contract import LIMIT_SET_TYPE
from tests.support.compiled import WIRING
from tests.support.models import MODEL_UPSTREAMS, compiled_models, model, with_models


def gateway(*models: dict[str, Any], **changes: Any) -> Gateway:
    return compiled_models(with_models(*models, **changes)).gateway


def held(new: Gateway, last: Gateway | None, *parts: Part) -> Held:
    return held_back(new, last, dict.fromkeys(parts, "bad"))


def variants(found: Gateway) -> tuple[Variant, ...]:
    assert found.llm is not None
    return found.llm.variants


OLD = gateway(model("a"))
NEW = gateway(
    model("a"),
    model("b", fallback=[{"upstream": "hosted"}], limits=[{"requests": "5/minute"}]),
    model("org/c", limits=[{"requests": "5/minute"}]),
)
BAD = Part(ROUTES, "chat:b")


@pytest.mark.parametrize(
    ("type_url", "name", "expected"),
    [
        pytest.param(
            names.CLUSTER_TYPE, "llm:hosted:b~ollama~failover",
            {"ollama-chat:b", "ollama-generate:b", "ollama-embed:b", "ollama-embeddings:b"}, id="a-way-to-an-upstream",
        ),
        pytest.param(
            LIMIT_SET_TYPE, "route/model:org/c",
            {"chat:org/c", "completions:org/c", "embeddings:org/c", "ollama-chat:org/c", "ollama-generate:org/c",
             "ollama-embed:org/c", "ollama-embeddings:org/c"},
            id="limits",
        ),
    ],
)  # fmt: skip
def test_what_is_made_of_a_model_is_blamed_on_its_routes(type_url: str, name: str, expected: set[str]) -> None:
    release = Compiler(WIRING).release(NEW)
    refusal = Refusal(type_url, "version", "nonce", f"Error adding {name}: bad", 0.0, (name,))
    outcome = Outcome(release, (), (NodeRefusal("envoy-1", "", refusal),))

    assert blamed(outcome, edited(NEW, OLD), elements(NEW), elements(OLD)).keys() == {
        Part(ROUTES, route) for route in expected
    }


def test_a_new_model_that_is_refused_is_away_and_the_others_go_live() -> None:
    found = held(NEW, OLD, BAD)
    routes = {item.name for item in found.gateway.routes}

    assert routes == {item.name for item in NEW.routes} - {"chat:b"}
    assert found.absent == {BAD}
    assert {item.name for item in variants(found.gateway)} == {
        "llm:hosted:b~ollama~failover", "llm:hosted:b~openai~failover",
        "llm:local:b~ollama~failover", "llm:local:b~openai~failover",
    }  # fmt: skip


def test_the_ways_of_what_is_away_are_away() -> None:
    last, new = gateway(model("a")), gateway(model("a"), model("b", "native", apis=["chat"]))

    assert variants(held(new, last, BAD).gateway) == ()


def test_the_first_models_go_live_without_one_that_is_refused() -> None:
    last = gateway(routes=[])

    found = held(NEW, last, BAD)

    assert {item.name for item in found.gateway.routes} == {item.name for item in NEW.routes} - {"chat:b"}


def test_a_model_stays_as_it_was_with_its_ways() -> None:
    last = gateway(model("a"), model("b", fallback=[{"upstream": "hosted", "model": "old"}], apis=["chat"]))
    new = gateway(model("a", max_tokens=5), model("b", fallback=[{"upstream": "hosted"}], apis=["chat"]))

    found = held(new, last, BAD).gateway

    assert elements(found)[BAD] == elements(last)[BAD]
    assert {item.name for item in variants(found)} == {
        "llm:hosted:b~ollama~failover", "llm:hosted:old~openai~failover",
        "llm:local:b~ollama~failover", "llm:local:b~openai~failover",
    }  # fmt: skip


def test_the_ways_to_an_upstream_that_goes_back_are_as_they_were() -> None:
    moved = {**MODEL_UPSTREAMS, "hosted": {**MODEL_UPSTREAMS["hosted"], "url": "http://10.0.0.9/v2"}}
    written = model("b", fallback=[{"upstream": "hosted"}], apis=["chat"])
    last, new = gateway(written), gateway(written, upstreams=moved)

    found = held(new, last, Part(UPSTREAMS, "hosted")).gateway

    assert found == last
    assert variants(new) != variants(last)


def test_a_model_that_goes_away_while_another_one_takes_its_name_stays_with_it() -> None:
    """Else calls of the alias would be answered as neither configuration says."""
    last = gateway(model("a"), model("b"))
    new = gateway(model("a", aliases=["b"]), model("c"))

    with pytest.raises(Inseparable):
        held(new, last, Part(ROUTES, "chat:a"))
