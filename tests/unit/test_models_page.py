"""docs/models.md: its examples compile, its endpoints and matrix are those of the code, and what is lost is told."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from control_plane.config.model import LanguageModel, Llm
from control_plane.ir.llm import endpoints
from llm_providers.ollama.inbound.endpoints import CHAT, COMPLETION, GENERATE
from llm_providers.ollama.inbound.options import OPTIONS
from llm_providers.ollama.native.endpoints import CHAT_PARAMETERS, COMPLETION_PARAMETERS, EMBEDDING_PARAMETERS
from llm_providers.registry import needs_translator, provider, providers
from tests.support.compiled import compiled, config

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text()
EXAMPLES = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
INBOUND, NATIVE = (
    PAGE.partition(begin)[2].partition(end)[0]
    for begin, end in (
        ("Clients of Ollama's API, upstreams with", "Clients of OpenAI's API, upstreams with"),
        ("Clients of OpenAI's API, upstreams with", "\n## "),
    )
)
# Not asked for in public.
UNTOLD = {"_debug_render_only"}


@pytest.mark.parametrize("example", EXAMPLES, ids=["discovered", "written"])
def test_its_examples_compile(example: Mapping[str, Any]) -> None:
    common = {
        "identity": {"bearer_tokens": [{"name": "me", "token": "a-bearer-token-for-tests", "plan": "free"}]},
        "defaults": {"auth": ["bearer"]},
        "plans": {"free": {}},
    }
    text = yaml.safe_dump(config(**{**common, **example})).replace("${OPENAI_API_KEY}", "sk-of-nobody")

    routes = compiled(yaml.safe_load(text)).gateway.routes

    assert {"chat:", "ollama-chat:", "models:"} <= {route.name for route in routes}


def test_every_endpoint_is_told() -> None:
    told = PAGE.partition("## Endpoints")[2].partition("\n## ")[0]
    paths = [item.path for item in endpoints.ENDPOINTS]
    paths += [endpoints.LIST, endpoints.METADATA, endpoints.TAGS, endpoints.SHOW, endpoints.VERSION, endpoints.RUNNING]

    assert [path for path in paths if f"{path}`" not in told] == []
    assert [word for word in endpoints.NOT_OFFERED if word not in told] == []


def test_the_matrix_is_that_of_the_providers() -> None:
    rows = re.findall(r"^\| client of (\w+)'s API \| (.*) \|$", PAGE, re.MULTILINE)

    told = {dialect.lower(): [cell.strip().split(",")[0] for cell in cells.split("|")] for dialect, cells in rows}

    words = re.findall(r"`api: ([\w-]+)` \|", PAGE.partition("## Native or translated")[2])
    assert sorted(words) == sorted(providers())
    for dialect, ways in told.items():
        assert [way == "translated" for way in ways] == [needs_translator(dialect, provider(word)) for word in words]


@pytest.mark.parametrize(
    ("told", "lost"),
    [
        (INBOUND, [item.refused for item in (CHAT, GENERATE, COMPLETION, OPTIONS)]),
        (INBOUND, [item.dropped for item in (CHAT, GENERATE)]),
        (NATIVE, [item.refused for item in (CHAT_PARAMETERS, COMPLETION_PARAMETERS)]),
        (NATIVE, [item.dropped for item in (CHAT_PARAMETERS, COMPLETION_PARAMETERS, EMBEDDING_PARAMETERS)]),
    ],
    ids=["refused to Ollama's", "dropped of Ollama's", "refused to OpenAI's", "dropped of OpenAI's"],
)
def test_what_is_lost_in_translation_is_told(told: str, lost: list[Any]) -> None:
    patterns = {word.split(":")[0] for word in re.findall(r"`([\w*:. ]+)`", told)}
    names = {name for parameters in lost for name in parameters} - UNTOLD

    assert names
    assert [name for name in sorted(names) if not any(fnmatchcase(name, pattern) for pattern in patterns)] == []


def test_numbers_are_those_of_the_code() -> None:
    model, llm = LanguageModel.model_fields, Llm.model_fields

    assert f"names no number ({model['max_tokens'].default})" in PAGE
    assert f"`llm` ({llm['timeout'].default / 60:g}m)" in PAGE
