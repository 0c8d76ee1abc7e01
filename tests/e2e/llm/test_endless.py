"""Ollama's numbers for an answer without an end: the most that a model gives, where longer ones are cut down to it."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import ollama
import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.catalog import GPT, LLAMA
from tests.support.llm.clients import HELLO, OLLAMA_CHAT, SAID
from tests.support.llm.gateway import MOST, RICH, bearer, cloud_upstream, local_upstream
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer
from tests.support.llm.script import Fault, Script

GENERATE = "/api/generate"
NATIVE, TRANSLATED, FALLS_BACK, STRICT = "native", "translated", "falls-back", "strict"
WITHOUT_END = (-1, -2, -1.0)


@pytest.fixture(scope="module")
def running(local: OllamaServer, cloud: OpenAIServer) -> Iterator[Gateway]:
    cut = {"max_tokens": MOST, "above_max_tokens": "clamp"}
    near, far = {"upstream": "local", "upstream_model": LLAMA}, {"upstream": "cloud", "upstream_model": GPT}
    config = {
        "identity": {"bearer_tokens": [{"name": "rich", "token": RICH}]},
        "defaults": {"auth": ["bearer"]},
        "upstreams": {"local": local_upstream(local), "cloud": cloud_upstream(cloud)},
        "models": [
            {"name": NATIVE, **near, **cut},
            {"name": TRANSLATED, **far, **cut},
            {"name": FALLS_BACK, **far, **cut, "fallback": [NATIVE]},
            {"name": STRICT, **near, "max_tokens": MOST},
        ],
        "llm": {"limits": [{"tokens": "10000000/minute"}]},
    }
    with running_gateway(config) as gateway:
        yield gateway


def says(gateway: Gateway, model: str, number: Any, path: str = OLLAMA_CHAT) -> httpx.Response:
    asked: Mapping[str, Any] = {"prompt": "hello there"} if path == GENERATE else {"messages": HELLO}
    body = {"model": model, "stream": False, "options": {"num_predict": number, "seed": 7}, **asked}
    with gateway.client(headers=bearer()) as http:
        return http.post(path, json=body)


def held(gateway: Gateway, answer: httpx.Response) -> Any:
    return gateway.logged(answer.headers["x-request-id"])["tokens_held"]


def lengths(server: OllamaServer | OpenAIServer) -> list[int]:
    """What the server was told, by either name."""
    bodies = [{**call.body, **call.body.get("options", {})} for call in server.calls]
    names = ("num_predict", "max_tokens", "max_completion_tokens")
    return [body[name] for body in bodies for name in names if name in body]


@pytest.mark.parametrize("number", WITHOUT_END)
@pytest.mark.parametrize("path", [OLLAMA_CHAT, GENERATE])
def test_the_most_is_held_and_sent_on(gateway: Gateway, local: OllamaServer, path: str, number: float) -> None:
    answer = says(gateway, NATIVE, number, path)

    assert answer.status_code == 200, answer.text
    assert (held(gateway, answer), lengths(local)) == (MOST, [MOST])
    assert local.calls[-1].body["options"]["seed"] == 7


@pytest.mark.parametrize("number", WITHOUT_END)
def test_what_is_translated_has_the_same_end(gateway: Gateway, cloud: OpenAIServer, number: float) -> None:
    answer = says(gateway, TRANSLATED, number)

    assert answer.status_code == 200, answer.text
    assert (held(gateway, answer), lengths(cloud)) == (MOST, [MOST])


def test_whoever_is_asked_next_is_told_the_same(gateway: Gateway, local: OllamaServer, cloud: OpenAIServer) -> None:
    cloud.plays(Script(fault=Fault(503)))

    answer = says(gateway, FALLS_BACK, -1)

    assert answer.status_code == 200, answer.text
    assert (held(gateway, answer), lengths(cloud), lengths(local)) == (MOST, [MOST], [MOST])


@pytest.mark.parametrize("number", WITHOUT_END)
def test_ollamas_client_may_ask_for_it(of_ollama: ollama.Client, local: OllamaServer, number: float) -> None:
    answer = of_ollama.chat(NATIVE, HELLO, options={"num_predict": int(number)})

    assert answer.message.content == SAID
    assert lengths(local) == [MOST]


@pytest.mark.parametrize(
    ("model", "number"),
    [
        pytest.param(STRICT, -1, id="not to be cut down"),
        pytest.param(STRICT, -2, id="the context, not to be cut down"),
        pytest.param(NATIVE, -3, id="another number"),
        pytest.param(NATIVE, -1.5, id="a fraction"),
        pytest.param(NATIVE, -0.5, id="nearly none"),
        pytest.param(NATIVE, 0, id="none"),
        pytest.param(NATIVE, "-1", id="a text"),
        pytest.param(NATIVE, -1e300, id="far below"),
        pytest.param(TRANSLATED, -3, id="another number, translated"),
    ],
)
def test_no_other_number_stands_for_it(
    gateway: Gateway, local: OllamaServer, cloud: OpenAIServer, model: str, number: Any
) -> None:
    answer = says(gateway, model, number)

    assert answer.status_code == 400
    assert f"1 to {MOST} tokens" in answer.json()["error"]
    assert local.calls + cloud.calls == []


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_openais_clients_have_no_such_number(gateway: Gateway, cloud: OpenAIServer, name: str) -> None:
    with gateway.client(headers=bearer()) as http:
        answer = http.post("/v1/chat/completions", json={"model": TRANSLATED, "messages": HELLO, name: -1})

    assert (answer.status_code, cloud.calls) == (400, [])
