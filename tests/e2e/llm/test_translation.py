"""Calls in one API, answered by servers of another: through the translator, and past it when it is away."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import openai
import pytest

from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.calls import Outcome
from tests.support.llm.catalog import GPT, LLAMA
from tests.support.llm.clients import CHAT, HELLO, OLLAMA_CHAT, SAID, TOOL
from tests.support.llm.gateway import KEY, RICH, cloud_upstream, local_upstream
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer
from tests.support.llm.script import Fault, Script, ToolUse
from tests.support.llm.tokens import prompt_tokens, words


@pytest.fixture(scope="module")
def running(local: OllamaServer, cloud: OpenAIServer) -> Iterator[Gateway]:
    config = {
        "identity": {"bearer_tokens": [{"name": "rich", "token": RICH}]},
        "defaults": {"auth": ["bearer"]},
        "upstreams": {"local": local_upstream(local, api="ollama-native"), "cloud": cloud_upstream(cloud)},
        "models": [
            {"name": LLAMA, "upstream": "local"},
            {"name": GPT, "upstream": "cloud"},
            {"name": "either", "upstream": "local", "upstream_model": LLAMA, "fallback": [GPT]},
            {"name": "other", "upstream": "cloud", "upstream_model": GPT, "fallback": [LLAMA]},
            {"name": "untold", "upstream": "cloud", "upstream_model": GPT, "request_usage": False},
        ],
    }
    with running_gateway(config) as gateway:
        yield gateway


def test_openais_client_talks_to_ollamas_own_api(client: openai.OpenAI, local: OllamaServer) -> None:
    answer = client.chat.completions.create(model=LLAMA, messages=HELLO)

    assert answer.choices[0].message.content == SAID
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == prompt_tokens(["hello there"])
    assert local.calls[-1].path == OLLAMA_CHAT


def test_a_stream_from_ollamas_own_api(client: openai.OpenAI, gateway: Gateway) -> None:
    """As any other: without the usage that nobody asked for, which the log knows."""
    raw = client.chat.completions.with_raw_response.create(model=LLAMA, messages=HELLO, stream=True)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse()) == SAID
    row = gateway.logged(raw.headers["x-request-id"])
    assert (row["tokens_in"], row["tokens_out"]) == (prompt_tokens(["hello there"]), len(SAID.split()))


def test_tools_of_ollamas_own_api(client: openai.OpenAI, local: OllamaServer) -> None:
    local.plays(Script(calls=(ToolUse("weather", {"city": "Paris"}),)))

    message = client.chat.completions.create(model=LLAMA, messages=HELLO, tools=[TOOL]).choices[0].message

    (call,) = message.tool_calls or ()
    assert json.loads(call.function.arguments) == {"city": "Paris"}


def test_ollamas_client_talks_to_openai(of_ollama: ollama.Client, cloud: OpenAIServer) -> None:
    answer = of_ollama.chat(model=GPT, messages=HELLO)

    assert answer.message.content == SAID
    assert (cloud.calls[-1].path, cloud.calls[-1].headers["authorization"]) == (CHAT, f"Bearer {KEY}")


def test_a_stream_of_lines_from_openai(http: httpx.Client, gateway: Gateway) -> None:
    answer = http.post(OLLAMA_CHAT, json={"model": GPT, "messages": HELLO})

    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == SAID
    row = gateway.logged(answer.headers["x-request-id"])
    assert (row["tokens_in"], row["tokens_out"]) == (lines[-1]["prompt_eval_count"], lines[-1]["eval_count"])
    assert row["path"] == OLLAMA_CHAT


def test_an_error_is_of_the_clients_shape(client: openai.OpenAI, local: OllamaServer) -> None:
    local.plays(Script(fault=Fault(404, "no such model here")))

    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model=LLAMA, messages=HELLO)

    assert "no such model here" in refused.value.message
    assert refused.value.type == "invalid_request_error"
    assert refused.value.body == {
        "message": "no such model here",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
        "request_id": refused.value.response.headers["x-request-id"],
    }


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_ends_too_early_is_an_error(http: httpx.Client, local: OllamaServer, *, stream: bool) -> None:
    """In a stream it is the last event, behind which nothing says that it is complete."""
    local.plays(Script(text=words(5), breaks=3))

    answer = http.post(CHAT, json={"model": LLAMA, "messages": HELLO, "stream": stream})

    *_, last = answer.text.strip().splitlines()
    error = json.loads(last.removeprefix("data: "))["error"]
    assert (error["type"], error["request_id"]) == ("api_error", answer.headers["x-request-id"])
    assert error.keys() == {"message", "type", "param", "code", "request_id"}


def test_what_cannot_be_translated_is_refused(http: httpx.Client, local: OllamaServer) -> None:
    answer = http.post(CHAT, json={"model": LLAMA, "messages": HELLO, "logit_bias": {"1": 2}})

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", "logit_bias")
    assert (error["type"], error["request_id"]) == ("invalid_request_error", answer.headers["x-request-id"])
    assert local.calls == []


def test_what_cannot_be_translated_for_ollamas_clients_is_refused_in_their_shape(
    http: httpx.Client, cloud: OpenAIServer
) -> None:
    answer = http.post(OLLAMA_CHAT, json={"model": GPT, "messages": HELLO, "options": {"mirostat": 2}})

    assert (answer.status_code, answer.json()) == (400, {"error": "unsupported parameters: options.mirostat"})
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("path", "model"), [(CHAT, "either"), (CHAT, "other"), (OLLAMA_CHAT, "either"), (OLLAMA_CHAT, "other")]
)
@pytest.mark.parametrize("status", [500, 429])
def test_either_may_follow_the_other(
    http: httpx.Client, local: OllamaServer, cloud: OpenAIServer, path: str, model: str, status: int
) -> None:
    """Whoever fails first, translated or not: the next one gets the call as it came, and its own key."""
    first, second = (local, cloud) if model == "either" else (cloud, local)
    first.plays(Script(fault=Fault(status)))

    answer = http.post(path, json={"model": model, "messages": HELLO, "stream": False})

    assert (answer.status_code, SAID in answer.text) == (200, True)
    assert [call.path for call in local.calls] == [OLLAMA_CHAT]
    assert [call.path for call in cloud.calls] == [CHAT]
    assert cloud.calls[0].headers["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in local.calls[0].headers
    assert len(second.calls) == 1


def test_a_large_body(http: httpx.Client, local: OllamaServer, cloud: OpenAIServer) -> None:
    local.plays(Script(fault=Fault(500)))
    text = "x" * 7_900_000

    answer = http.post(CHAT, json={"model": "either", "messages": [{"role": "user", "content": text}]})

    assert answer.status_code == 200
    assert cloud.calls[0].body["messages"][0]["content"] == text


def test_who_hangs_up_ends_the_answer(http: httpx.Client, local: OllamaServer) -> None:
    local.plays(Script(text=words(1000), pace=0.05))

    with http.stream("POST", CHAT, json={"model": LLAMA, "messages": HELLO, "stream": True}) as stream:
        next(stream.iter_lines())

    (answer,) = local.settled()
    assert answer.outcome is Outcome.LEFT


def asked(http: httpx.Client, model: str) -> httpx.Response:
    body: dict[str, Any] = {"model": model, "messages": HELLO}
    return http.post(CHAT, json=body)


def test_the_translator_comes_back(gateway: Gateway, http: httpx.Client) -> None:
    """While it is away, a model that has another way goes there."""
    gateway.kill("llm_translator")

    assert asked(http, "either").status_code == 200
    until(lambda: asked(http, LLAMA).status_code == 200, seconds=30)


@pytest.mark.parametrize(("model", "asked"), [(GPT, {"include_usage": True}), ("untold", None)])
def test_streams_are_asked_for_their_usage_where_the_upstream_knows_that(
    http: httpx.Client, cloud: OpenAIServer, model: str, asked: dict[str, bool] | None
) -> None:
    answer = http.post(OLLAMA_CHAT, json={"model": model, "messages": HELLO})

    assert answer.status_code == 200
    assert json.loads(answer.text.splitlines()[-1])["done"] is True
    assert cloud.calls[-1].body.get("stream_options") == asked
