"""Language models behind the gateway, as the clients of OpenAI's and Ollama's APIs see them."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import openai
import pytest

from service_kit.api_keys import key_hash, new_key, written_hash
from service_kit.version import installed_version
from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.calls import Outcome
from tests.support.llm.catalog import GPT, LLAMA, QWEN
from tests.support.llm.clients import CHAT, HELLO, OLLAMA_CHAT, TOOL, openai_client
from tests.support.llm.gateway import CLEVER, KEY, MOST, POOR, RICH, bearer, before
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer
from tests.support.llm.script import Script, ToolUse
from tests.support.llm.tokens import prompt_tokens, words

PARIS = {"city": "Paris"}
EIGHT_MEBIBYTES = 8 << 20
PEPPER = "a pepper of thirty-two bytes, or more"
NARROW_KEY = new_key(secrets.token_bytes)


@pytest.fixture(scope="module")
def running(local: OllamaServer, cloud: OpenAIServer) -> Iterator[Gateway]:
    hashed = written_hash(key_hash(PEPPER.encode(), NARROW_KEY.text.encode()))
    narrow = {"id": NARROW_KEY.id, "hash": hashed, "models": ["qwen*", "nomic-embed-text"]}
    config = before(local, cloud)
    more = {
        "defaults": {"auth": ["bearer", "api_key"]},
        "identity": {**config["identity"], "api_keys": {"pepper": PEPPER}},
        "consumers": [{"name": "acme", "plan": "pro", "keys": [narrow]}],
    }
    with running_gateway({**config, **more}) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("model", "upstream_model"),
    [
        pytest.param(LLAMA, LLAMA, id="by its name"),
        pytest.param("llama", LLAMA, id="by its alias"),
        pytest.param(None, LLAMA, id="by none"),
        pytest.param(CLEVER, GPT, id="by the gateway's name"),
    ],
)
def test_a_model_answers(
    http: httpx.Client, local: OllamaServer, cloud: OpenAIServer, model: str | None, upstream_model: str
) -> None:
    named = {} if model is None else {"model": model}

    answer = http.post(CHAT, json={**named, "messages": HELLO})

    assert answer.json()["choices"][0]["message"]["content"] == "You said: hello there"
    (call,) = local.calls + cloud.calls
    assert (call.path, call.body["model"]) == (CHAT, upstream_model)


def test_a_stream(client: openai.OpenAI, gateway: Gateway, local: OllamaServer) -> None:
    """Clients that did not ask for the usage are not told, as OpenAI has it; the log knows it all the same."""
    raw = client.chat.completions.with_raw_response.create(model=LLAMA, messages=HELLO, stream=True)

    said = "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse())

    assert said == "You said: hello there"
    assert local.calls[-1].body["stream_options"] == {"include_usage": True}
    row = gateway.logged(raw.headers["x-request-id"])
    assert (row["tokens_in"], row["tokens_out"]) == (prompt_tokens(["hello there"]), len(said.split()))


def test_the_usage_of_a_stream_goes_to_whom_asks_for_it(client: openai.OpenAI) -> None:
    chunks = [
        *client.chat.completions.create(
            model=LLAMA, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    ]

    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == prompt_tokens(["hello there"])


def test_tools(client: openai.OpenAI, local: OllamaServer) -> None:
    local.plays(Script(calls=(ToolUse("weather", PARIS),)))

    message = client.chat.completions.create(model=LLAMA, messages=HELLO, tools=[TOOL]).choices[0].message

    (call,) = message.tool_calls or ()
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", PARIS)


def test_completions(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=LLAMA, prompt="hello there")

    assert "hello there" in answer.choices[0].text


def test_embeddings(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="nomic-embed-text", input=["one", "two"])

    assert [item.index for item in answer.data] == [0, 1]


def test_models_are_listed(gateway: Gateway, client: openai.OpenAI) -> None:
    """To each the models that the plan may call."""
    with openai_client(gateway.url, POOR) as poor:
        assert [model.id for model in poor.models.list()] == [QWEN]
    assert {LLAMA, QWEN, CLEVER} <= {model.id for model in client.models.list()}


@pytest.mark.parametrize("model", [LLAMA, CLEVER, "llama"])
def test_a_model_is_looked_up(client: openai.OpenAI, model: str) -> None:
    """The client escapes the slash in a name."""
    assert client.models.retrieve(model).id in (model, LLAMA)


@pytest.mark.parametrize("model", ["nobody", "nobody/x:1"])
def test_a_model_that_is_not_there_is_looked_up(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve(model)

    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_a_model_of_other_plans_is_not_there(gateway: Gateway) -> None:
    with openai_client(gateway.url, POOR) as poor, pytest.raises(openai.NotFoundError):
        poor.models.retrieve(LLAMA)


def test_the_gateway_says_what_it_is_and_has(gateway: Gateway, client: openai.OpenAI) -> None:
    """To anybody: also the models that few plans may call."""
    with gateway.client() as http:
        about = http.get("/v1/metadata").raise_for_status().json()

    assert (about["version"], about["dialects"]) == (installed_version(), ["ollama", "openai"])
    assert {CHAT, OLLAMA_CHAT, "/v1/models", "/api/tags"} <= {*about["endpoints"]}
    can = {model["id"]: model["capabilities"] for model in about["models"]}
    assert can.keys() == {model.id for model in client.models.list()}
    assert can["nomic-embed-text"] == ["embeddings"]


@pytest.mark.parametrize(("method", "said"), [("GET", "Ollama is running"), ("HEAD", "")])
def test_who_looks_for_an_ollama_finds_one(gateway: Gateway, method: str, said: str) -> None:
    """As the `ollama` command does before anything else, without a credential."""
    with gateway.client() as http:
        answer = http.request(method, "/")

    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (200, said, "text/plain; charset=utf-8")


def test_a_chat_of_ollama(of_ollama: ollama.Client, local: OllamaServer) -> None:
    answer = of_ollama.chat(model=LLAMA, messages=HELLO)

    assert answer.message.content == "You said: hello there"
    assert local.calls[-1].path == OLLAMA_CHAT


def test_a_stream_of_ollama(of_ollama: ollama.Client, http: httpx.Client, gateway: Gateway) -> None:
    """A stream is what its clients get that say nothing; its usage is read as it passes."""
    *_, last = of_ollama.chat(model="llama", messages=HELLO, stream=True)
    answer = http.post(OLLAMA_CHAT, json={"model": LLAMA, "messages": HELLO})

    assert last.done
    assert answer.headers["content-type"] == "application/x-ndjson"
    row = gateway.logged(answer.headers["x-request-id"])
    assert (row["tokens_in"], row["tokens_out"]) == (last.prompt_eval_count, last.eval_count)


def test_texts_and_vectors_of_ollama(of_ollama: ollama.Client) -> None:
    assert "hello" in of_ollama.generate(model=LLAMA, prompt="hello").response
    assert len(of_ollama.embed(model="nomic-embed-text", input=["one", "two"]).embeddings) == 2
    assert of_ollama.embeddings(model="nomic-embed-text", prompt="one").embedding


def test_models_of_ollama(of_ollama: ollama.Client) -> None:
    assert LLAMA in {model.model for model in of_ollama.list().models}
    assert of_ollama.show(LLAMA).capabilities
    assert list(of_ollama.ps().models) == []


@pytest.mark.parametrize(
    ("path", "said", "token"),
    [
        pytest.param("/api/show", {"model": "nobody"}, RICH, id="shown"),
        pytest.param("/api/show", {"name": "nobody"}, RICH, id="shown by its other name"),
        pytest.param(OLLAMA_CHAT, {"model": "nobody", "messages": HELLO}, RICH, id="called"),
        pytest.param("/api/show", {"model": LLAMA}, POOR, id="of other plans"),
        pytest.param("/api/show", {"name": LLAMA}, POOR, id="of other plans by its other name"),
    ],
)
def test_a_model_that_is_not_there_is_missed_in_ollamas_words(
    gateway: Gateway, path: str, said: dict[str, Any], token: str
) -> None:
    """Its clients pull a model of which they read this."""
    with gateway.client(headers=bearer(token)) as http:
        answer = http.post(path, json=said)

    name = said.get("model", said.get("name"))
    assert (answer.status_code, answer.json()) == (404, {"error": f"model '{name}' not found"})


@pytest.mark.parametrize("said", [{"name": "llama"}, {"model": "llama"}, {"model": LLAMA, "name": "nobody"}])
def test_a_model_is_shown_by_either_name(http: httpx.Client, said: dict[str, str]) -> None:
    assert http.post("/api/show", json=said).status_code == 200


@pytest.mark.parametrize(("path", "said"), [("/api/show", {}), ("/api/show", {"verbose": True})])
def test_who_asks_about_no_model_is_told_so(http: httpx.Client, path: str, said: dict[str, Any]) -> None:
    answer = http.post(path, json=said)

    assert (answer.status_code, answer.json().keys()) == (400, {"error"})


def test_a_body_of_ollama_may_be_called_a_form(http: httpx.Client) -> None:
    """As curl does."""
    body = json.dumps({"model": LLAMA, "messages": HELLO, "stream": False})

    answer = http.post(OLLAMA_CHAT, content=body, headers={"content-type": "application/x-www-form-urlencoded"})

    assert answer.json()["message"]["content"] == "You said: hello there"


@pytest.mark.parametrize(("model", "status"), [(QWEN, 200), (LLAMA, 403), ("llama", 403), (CLEVER, 403), (None, 403)])
def test_a_key_may_be_for_some_models(gateway: Gateway, model: str | None, status: int) -> None:
    """By their names and patterns, whatever the plan of its holder allows; the default model is none of them."""
    named = {} if model is None else {"model": model}
    with gateway.client(headers={"x-api-key": NARROW_KEY.text}) as http:
        assert http.post(CHAT, json={**named, "messages": HELLO}).status_code == status


def test_who_may_not_call_the_model_of_calls_that_name_none_is_told_which_it_is(gateway: Gateway) -> None:
    with gateway.client(headers={"x-api-key": NARROW_KEY.text}) as http:
        answer = http.post(CHAT, json={"messages": HELLO})

    assert f"the model {LLAMA}:" in answer.json()["error"]["message"]


REFUSED = (
    pytest.param({"model": "nobody"}, RICH, 404, "model_not_found", "model", id="unknown model"),
    pytest.param({"model": LLAMA}, POOR, 403, "model_not_allowed", "model", id="model of other plans"),
    pytest.param({"model": LLAMA, "max_tokens": 5000}, RICH, 400, "invalid_request", None, id="too many tokens"),
    pytest.param(
        {"model": CLEVER, "logit_bias": {"1": 2}}, RICH, 400, "unsupported_parameter", "logit_bias", id="object"
    ),
    pytest.param(
        {"model": CLEVER, "Logit_Bias": []}, RICH, 400, "unsupported_parameter", "logit_bias", id="other case"
    ),
    pytest.param({"model": LLAMA}, "nobodys-token", 401, "unknown_token", None, id="unknown token"),
)


@pytest.mark.parametrize(("said", "token", "status", "code", "param"), REFUSED)
def test_refusals_are_of_openais_shape(
    gateway: Gateway, local: OllamaServer, said: dict[str, Any], token: str, status: int, code: str, param: str | None
) -> None:
    with gateway.client(headers=bearer(token)) as http:
        answer = http.post(CHAT, json={"messages": HELLO, **said})

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert error.keys() == {"message", "type", "param", "code", "request_id"}
    assert local.calls == []


@pytest.mark.parametrize(
    ("said", "token", "status"),
    [
        pytest.param({"model": "nobody"}, RICH, 404, id="unknown model"),
        pytest.param({"model": LLAMA}, POOR, 403, id="model of other plans"),
        pytest.param({"model": LLAMA, "options": {"num_predict": 5000}}, RICH, 400, id="too many tokens"),
        pytest.param({"model": LLAMA}, "nobodys-token", 401, id="unknown token"),
    ],
)
def test_refusals_are_of_ollamas_shape(gateway: Gateway, said: dict[str, Any], token: str, status: int) -> None:
    with gateway.client(headers=bearer(token)) as http:
        answer = http.post(OLLAMA_CHAT, json={"messages": HELLO, **said})

    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)


def test_null_asks_for_nothing(http: httpx.Client, cloud: OpenAIServer) -> None:
    answer = http.post(CHAT, json={"model": CLEVER, "messages": HELLO, "logit_bias": None})

    assert answer.status_code == 200


@pytest.mark.parametrize("asked", [MOST + 1, 1_000_000])
def test_too_many_tokens_are_cut_down_where_that_is_said(http: httpx.Client, cloud: OpenAIServer, asked: int) -> None:
    answer = http.post(CHAT, json={"model": "clamped", "messages": HELLO, "max_tokens": asked})

    assert answer.status_code == 200
    assert cloud.calls[-1].body["max_tokens"] == MOST


ODD = (
    pytest.param(b'{"model":"llama3.1:8b","model":"qwen3:8b","messages":[]}', id="a key twice"),
    pytest.param(b'{"model":"llama3.1:8b","messages":[],"max_tokens":1,"max_tokens":5}', id="a number twice"),
    pytest.param(b'\xef\xbb\xbf{"model":"llama3.1:8b","messages":[]}', id="byte order mark"),
    pytest.param(b'{"model":"llama3.1:8b","messages":' + b"[" * 200 + b"]" * 200 + b"}", id="deep"),
    pytest.param(b'{"model":"llama3.1:8b","messages":', id="broken"),
    pytest.param(b'["llama3.1:8b"]', id="list"),
    pytest.param(b"", id="nothing"),
    pytest.param(b'{"model":"llama3.1:8b","messages":[],"x":18446744073709551615}', id="large number"),
    pytest.param(b'{"model":"llama3.1:8b","messages":[],"x":"\\ud800"}', id="half a character"),
)


@pytest.mark.parametrize("path", [CHAT, OLLAMA_CHAT])
@pytest.mark.parametrize("body", ODD)
def test_what_can_be_read_in_two_ways_reaches_nobody(
    http: httpx.Client, local: OllamaServer, path: str, body: bytes
) -> None:
    answer = http.post(path, content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 400
    assert local.calls == []


@pytest.mark.parametrize("type_", ["text/plain", "application/x-ndjson", "application/json; charset=utf-16", None])
def test_openais_bodies_are_json(http: httpx.Client, local: OllamaServer, type_: str | None) -> None:
    body = json.dumps({"model": LLAMA, "messages": HELLO}).encode()

    answer = http.post(CHAT, content=body, headers={} if type_ is None else {"content-type": type_})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "body_not_rewritten")
    assert local.calls == []


def test_a_large_body(http: httpx.Client, local: OllamaServer) -> None:
    """As large as it may be, to the byte."""
    empty = json.dumps({"model": LLAMA, "messages": [{"role": "user", "content": ""}]})
    text = "x" * (EIGHT_MEBIBYTES - len(empty))

    answer = http.post(CHAT, content=empty.replace('""', f'"{text}"'), headers={"content-type": "application/json"})

    assert answer.status_code == 200
    assert local.calls[-1].body["messages"][0]["content"] == text


@pytest.mark.parametrize(
    ("path", "method"), [(CHAT, "GET"), (CHAT, "DELETE"), (OLLAMA_CHAT, "GET"), ("/api/show", "PUT")]
)
def test_other_methods(http: httpx.Client, path: str, method: str) -> None:
    answer = http.request(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert isinstance(answer.json()["error"], dict if path == CHAT else str)


@pytest.mark.parametrize("path", ["/api/pull", "/api/delete", "/api/create", "/api/blobs/sha256:1"])
def test_models_are_not_for_clients_to_change(http: httpx.Client, local: OllamaServer, path: str) -> None:
    answer = http.post(path, json={"model": LLAMA})

    assert answer.status_code == 403
    assert local.calls == []


def test_who_hangs_up_ends_the_answer(gateway: Gateway, http: httpx.Client, local: OllamaServer) -> None:
    local.plays(Script(text=words(1000), pace=0.05))

    with http.stream("POST", CHAT, json={"model": LLAMA, "messages": HELLO, "stream": True}) as stream:
        next(stream.iter_lines())

    (answer,) = local.settled()
    assert answer.outcome is Outcome.LEFT


def test_the_log_knows_what_a_call_was(http: httpx.Client, gateway: Gateway) -> None:
    answer = http.post(CHAT, json={"model": "llama", "messages": HELLO})

    row = gateway.logged(answer.headers["x-request-id"])
    assert (row["model"], row["asked_model"], row["route"], row["upstream"]) == (
        LLAMA,
        "llama",
        f"chat:{LLAMA}",
        "local",
    )
    assert row["tokens_in"] == prompt_tokens(["hello there"])
    assert row["targets"].keys() == {"local"}
    assert row["first_token_ms"] <= row["duration_ms"]


def test_a_long_name_of_a_model_is_cut_in_the_log(http: httpx.Client, gateway: Gateway) -> None:
    answer = http.post(CHAT, json={"model": "x" * 5000, "messages": HELLO})

    row = gateway.logged(answer.headers["x-request-id"])
    assert (answer.status_code, row["model"], row["asked_model"]) == (404, "x" * 128, "x" * 128)


def test_no_key_but_its_own_reaches_a_provider(http: httpx.Client, local: OllamaServer, cloud: OpenAIServer) -> None:
    for model in (LLAMA, CLEVER):
        assert http.post(CHAT, json={"model": model, "messages": HELLO}).status_code == 200

    assert "authorization" not in local.calls[-1].headers
    assert cloud.calls[-1].headers["authorization"] == f"Bearer {KEY}"
    for call in (local.calls[-1], cloud.calls[-1]):
        assert {"x-tollgate-profile", "x-tollgate-models", "x-tollgate-body"}.isdisjoint(call.headers)
