"""Whose fields bodies have, and what a token costs."""

from typing import Any

import pytest

from control_plane.ir.model import Api, Metering
from tests.support.compiled import compiled, config, route


def metering(path: str = "/v1/chat/completions", **tokens: Any) -> Metering | None:
    return compiled(config(routes=[route("chat", path, tokens=tokens)])).gateway.routes[0].tokens


@pytest.mark.parametrize(
    ("path", "written", "api"),
    [
        pytest.param("/v1/chat/completions", {}, Api.CHAT, id="chat"),
        pytest.param("/deployments/{name}/chat/completions", {}, Api.CHAT, id="template"),
        pytest.param("/v1/completions", {}, Api.COMPLETIONS, id="completions"),
        pytest.param("/v1/embeddings", {}, Api.EMBEDDINGS, id="embeddings"),
        pytest.param("/api/chat", {}, Api.OLLAMA, id="ollama"),
        pytest.param("/api/generate", {}, Api.OLLAMA, id="ollama-of-one-prompt"),
        pytest.param("/ask", {"api": "chat"}, Api.CHAT, id="written"),
        pytest.param("/v1/completions", {"api": "chat"}, Api.CHAT, id="written-is-stronger"),
    ],
)
def test_the_path_says_which_api(path: str, written: dict, api: Api) -> None:
    found = metering(path, **written)

    assert found is not None
    assert found.api is api


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        pytest.param({"input": 0.1, "output": 0.3}, (100_000, 300_000), id="of-a-million"),
        pytest.param({"input": 0.1, "unit": "1K"}, (100_000_000, 0), id="of-a-thousand"),
        pytest.param({"input": 0.0001, "output": 0.000123}, (100, 123), id="fine"),
        pytest.param({"input": 1000, "output": 1000}, (10**9, 10**9), id="the-dearest"),
        pytest.param({"input": 2.675, "output": 0.285714}, (2_675_000, 285_714), id="no-binary-fraction"),
    ],
)
def test_prices_are_exact(price: dict, expected: tuple[int, int]) -> None:
    found = metering(price=price)

    assert found is not None
    assert (found.input_price, found.output_price) == expected


def test_tokens_cost_nothing_unless_it_is_written() -> None:
    assert metering() == Metering(Api.CHAT, 4096)
