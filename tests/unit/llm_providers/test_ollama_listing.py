import pytest

from llm_providers.json_text import json_bytes
from llm_providers.models import Model
from llm_providers.ollama.discovery import described, models
from llm_providers.ollama.listing import shown, tag

LLAMA = Model(
    "llama3.1:8b", 1_735_689_600, "library", "llama", "8.0B", "Q4_K_M", 4_920_753_328, "abc", 8192,
    ("completion", "tools"), 1_735_689_600,
)  # fmt: skip


def test_what_is_listed_is_read_as_it_was():
    (listed,) = models(json_bytes({"models": [tag(LLAMA)]})).models

    assert described(listed, json_bytes(shown(LLAMA))) == LLAMA


@pytest.mark.parametrize(
    ("model", "entry", "details"),
    [
        pytest.param(Model("gpt-4o"), {}, {}, id="nothing-said"),
        pytest.param(
            Model("gpt-4o", created=1_735_689_600, context=128_000),
            {"modified_at": "2025-01-01T00:00:00Z"},
            {"modified_at": "2025-01-01T00:00:00Z", "model_info": {"general.context_length": 128_000}},
            id="as-openai-says-it",
        ),
    ],
)
def test_what_nobody_has_said_is_left_out(model: Model, entry: dict[str, object], details: dict[str, object]):
    assert tag(model) == {"name": "gpt-4o", "model": "gpt-4o", **entry}
    assert shown(model) == details
