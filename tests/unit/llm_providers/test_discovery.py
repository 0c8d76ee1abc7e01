import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_providers.models import Listed, Model
from llm_providers.provider import Undiscoverable
from llm_providers.registry import provider, providers

TAGS = {
    "models": [
        {
            "name": "llama3.2:3b",
            "model": "llama3.2:3b",
            "modified_at": "2026-01-01T02:00:00.123456789+02:00",
            "size": 2019393189,
            "digest": "a80c4f17acd5",
            "details": {"family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"},
        },
        {"model": "hf.co/someone/model:latest"},
    ]
}
LISTED = Model(
    "llama3.2:3b",
    created=1767225600,
    owner="library",
    family="llama",
    parameters="3.2B",
    quantization="Q4_K_M",
    size=2019393189,
    digest="a80c4f17acd5",
    modified=1767225600,
)


@pytest.mark.parametrize(
    ("name", "path", "health"),
    [
        ("openai", "/v1/models", "/v1/models"),
        ("ollama", "/api/tags", "/api/version"),
        ("ollama-native", "/api/tags", "/api/version"),
    ],
)
def test_each_provider_says_where_its_models_and_its_health_are(name: str, path: str, health: str) -> None:
    assert (provider(name).discovery.path, provider(name).health) == (path, health)


def test_ollamas_list() -> None:
    assert provider("ollama").discovery.parse(encoded(TAGS)) == Listed(
        (LISTED, Model("hf.co/someone/model:latest", owner="someone"))
    )


def test_ollamas_details() -> None:
    details = provider("ollama").details
    assert details is not None
    shown = {
        "model_info": {"general.architecture": "llama", "llama.context_length": 131072},
        "details": {"family": "other"},
        "capabilities": ["completion", "tools"],
    }

    described = details.parse(LISTED, encoded(shown))

    assert (details.path, json.loads(details.body(LISTED))) == ("/api/show", {"model": "llama3.2:3b"})
    assert (described.context, described.capabilities, described.family) == (131072, ("completion", "tools"), "llama")


def test_openais_list() -> None:
    listed = {
        "object": "list",
        "data": [
            {"id": "gpt", "object": "model", "created": 1686935002, "owned_by": "openai"},
            {"id": "qwen", "max_model_len": 32768},
        ],
    }

    assert provider("openai").discovery.parse(encoded(listed)) == Listed(
        (Model("gpt", created=1686935002, owner="openai"), Model("qwen", context=32768))
    )


@pytest.mark.parametrize("parse", [found.discovery.parse for found in providers().values()], ids=list(providers()))
@pytest.mark.parametrize("body", [b'{"data":[],"models":[]}', b'{"object":"list","data":null,"models":null}'])
def test_an_upstream_may_have_no_models(parse: Callable[[bytes], object], body: bytes) -> None:
    """Ollama without models says null at /v1/models."""
    assert parse(body) == Listed(())


@pytest.mark.parametrize("parse", [found.discovery.parse for found in providers().values()], ids=list(providers()))
@pytest.mark.parametrize("odd", [{}, {"id": 3, "model": 3}, {"id": "", "name": ""}, "m", None, 7, [{}]], ids=repr)
def test_an_entry_that_is_no_model_takes_none_of_the_others_away(parse: Callable[[bytes], Listed], odd: object) -> None:
    rows = [{"id": "a", "model": "a"}, odd, {"id": "b", "model": "b"}]

    found = parse(encoded({"data": rows, "models": rows}))

    assert ([model.name for model in found.models], found.unreadable) == (["a", "b"], 1)


@pytest.mark.parametrize("parse", [found.discovery.parse for found in providers().values()], ids=list(providers()))
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":3,"models":3}', b'{"data":[{}],"models":[{}]}', b"\xff"])
def test_a_list_that_cannot_be_read(parse: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(Undiscoverable):
        parse(body)


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.text() | st.floats() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["data", "models", "id", "model", "details", "size", "created", "modified_at", "capabilities"]
                ),
                inner,
            )
        ),
    )
)
def test_any_list_is_read_or_refused(tree: object) -> None:
    for found in providers().values():
        for body in (encoded({"data": tree, "models": tree}), encoded(tree)):
            with contextlib.suppress(Undiscoverable):
                found.discovery.parse(body)


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()
