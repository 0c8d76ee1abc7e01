"""No file, only variables: an authenticated gateway to Ollama, as the clients of OpenAI's and Ollama's APIs see it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import openai
import pytest

from tests.support.eventually import until
from tests.support.gateway import Gateway, gateway_on
from tests.support.llm.catalog import LLAMA, QWEN, Model
from tests.support.llm.clients import HELLO, SAID, ollama_client, openai_client
from tests.support.llm.gateway import bearer
from tests.support.llm.ollama_server import OllamaServer

TOKEN, STRANGER = "a-bearer-token-for-tests", "another-bearer-token-of-tests"
EMBEDS = "nomic-embed-text"
CALLED = (
    "/v1/chat/completions", "/v1/completions", "/v1/embeddings",
    "/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show",
)  # fmt: skip
READ = ("/v1/models", f"/v1/models/{LLAMA}", "/api/tags", "/api/ps", "/api/version")


def variables(server: OllamaServer, **more: str) -> dict[str, str]:
    return {"GATEWAY_BEARER_TOKEN": TOKEN, "GATEWAY_HOST": "127.0.0.1", "OLLAMA_BASE_URL": server.url, **more}


@pytest.fixture(scope="module")
def server() -> Iterator[OllamaServer]:
    with OllamaServer() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(server: OllamaServer) -> Iterator[Gateway]:
    with gateway_on(lambda *_: None, variables(server)) as running:
        yield running


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.client(headers=bearer(TOKEN)) as found:
        yield found


def test_openais_client_needs_its_address_and_the_token(gateway: Gateway) -> None:
    with openai_client(gateway.url, TOKEN) as client:
        listed = [model.id for model in client.models.list()]
        whole = client.chat.completions.create(model=LLAMA, messages=HELLO)
        stream = client.chat.completions.create(model=LLAMA, messages=HELLO, stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        completed = client.completions.create(model=LLAMA, prompt="hello there")
        vectors = client.embeddings.create(model=EMBEDS, input=["one", "two"])

    assert {LLAMA, QWEN} <= {*listed}
    assert (whole.choices[0].message.content, streamed) == (SAID, SAID)
    assert "hello there" in completed.choices[0].text
    assert len(vectors.data) == 2


def test_ollamas_client_needs_its_host_and_the_token(gateway: Gateway) -> None:
    with ollama_client(gateway.url, TOKEN) as client:
        listed = [model.model for model in client.list().models]
        whole = client.chat(LLAMA, HELLO)
        streamed = "".join(part.message.content or "" for part in client.chat(LLAMA, HELLO, stream=True))
        generated = client.generate(LLAMA, "hello there")
        vectors = client.embed(EMBEDS, ["one", "two"])
        shown = client.show(LLAMA)

    assert {LLAMA, QWEN} <= {*listed}
    assert (whole.message.content, streamed) == (SAID, SAID)
    assert "hello there" in generated.response
    assert len(vectors.embeddings) == 2
    assert "completion" in (shown.capabilities or ())


def test_ollamas_client_takes_both_from_its_variables(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", gateway.url)
    monkeypatch.setenv("OLLAMA_API_KEY", TOKEN)
    with ollama.Client(trust_env=False) as client:
        answer = client.chat(LLAMA, HELLO)

    assert answer.message.content == SAID


@pytest.mark.parametrize("headers", [{}, bearer(STRANGER)], ids=["no token", "another token"])
def test_who_has_not_the_token_learns_nothing(gateway: Gateway, server: OllamaServer, headers: Any) -> None:
    asked = len(server.calls)
    with gateway.client(headers=headers) as stranger:
        answers = [stranger.get(path) for path in READ]
        answers += [stranger.post(path, json={"model": LLAMA, "messages": HELLO, "prompt": "x"}) for path in CALLED]

    assert {answer.status_code for answer in answers} == {401}
    assert not [answer for answer in answers if "llama" in answer.text]
    assert not [call for call in server.calls[asked:] if call.path in CALLED and call.path != "/api/show"]


def test_what_it_is_may_be_asked_by_anybody(gateway: Gateway) -> None:
    with gateway.client() as stranger:
        about = stranger.get("/v1/metadata").json()

        greeting = stranger.get("/")

    assert {"/v1/chat/completions", "/api/chat"} <= {*about["endpoints"]}
    assert LLAMA in {model["id"] for model in about["models"]}
    assert greeting.text == "Ollama is running"


def test_a_model_that_is_not_there(gateway: Gateway) -> None:
    with openai_client(gateway.url, TOKEN) as client, ollama_client(gateway.url, TOKEN) as client_of_ollama:
        with pytest.raises(openai.NotFoundError, match="nobody-knows-it") as unknown:
            client.chat.completions.create(model="nobody-knows-it", messages=HELLO)
        with pytest.raises(ollama.ResponseError, match="nobody-knows-it") as missing:
            client_of_ollama.chat("nobody-knows-it", HELLO)

    assert unknown.value.code == "model_not_found"
    assert missing.value.status_code == 404


@pytest.mark.parametrize("path", ["pull", "push", "create", "copy", "delete", "blobs/sha256:00"])
def test_nobody_changes_the_models(http: httpx.Client, server: OllamaServer, path: str) -> None:
    assert http.post(f"/api/{path}", json={"model": LLAMA}).status_code == 403
    assert not [call for call in server.calls if call.path.startswith(f"/api/{path}")]


def test_nothing_else_of_ollama_is_reached(http: httpx.Client, server: OllamaServer) -> None:
    answers = [http.get(path).status_code for path in ("/other", "/api/other", "/v1/other")]

    assert answers == [404, 404, 404]
    assert not [call for call in server.calls if call.path.endswith("/other")]


def test_the_token_goes_no_further(http: httpx.Client, server: OllamaServer) -> None:
    http.post("/v1/chat/completions", json={"model": LLAMA, "messages": HELLO})

    assert not [call for call in server.calls if TOKEN in str(call.headers)]


def test_the_length_of_an_answer_is_what_the_client_says_up_to_the_context(
    http: httpx.Client, server: OllamaServer
) -> None:
    sent = []
    for said in ({}, {"max_tokens": 20}, {"max_tokens": 1_000_000}):
        http.post("/v1/chat/completions", json={"model": LLAMA, "messages": HELLO, **said}).raise_for_status()
        sent.append(server.calls[-1].body["max_tokens"])

    assert sent == [8192, 20, 8192]


@pytest.mark.parametrize("number", [-1, -2])
def test_an_answer_without_an_end_ends_with_the_context(http: httpx.Client, server: OllamaServer, number: int) -> None:
    body = {"model": LLAMA, "messages": HELLO, "options": {"num_predict": number}}
    http.post("/api/chat", json=body).raise_for_status()

    assert server.calls[-1].body["options"]["num_predict"] == 8192


def test_tokens_are_counted(gateway: Gateway, http: httpx.Client) -> None:
    answer = http.post("/v1/chat/completions", json={"model": QWEN, "messages": HELLO})
    usage = answer.json()["usage"]

    row = gateway.logged(answer.headers["x-request-id"])
    assert (row["model"], row["tokens_in"], row["tokens_out"]) == (
        QWEN, usage["prompt_tokens"], usage["completion_tokens"]
    )  # fmt: skip
    counted = f'tollgate_llm_tokens_total{{direction="output",model="{QWEN}"'
    until(lambda: counted in httpx.get(f"{gateway.admin_url}/metrics", trust_env=False, verify=False).text)


def test_a_model_that_is_pulled_appears(http: httpx.Client, server: OllamaServer) -> None:
    server.add(Model("mistral:7b"))

    until(lambda: http.post("/api/chat", json={"model": "mistral:7b", "messages": HELLO}).status_code == 200)


def test_a_key_is_as_good_as_the_token(gateway: Gateway) -> None:
    state = ("--state-dir", str(gateway.folder / "state"))
    _tollgate("consumers", "create", "shop", *state)
    key = _tollgate("keys", "create", "--consumer", "shop", *state).split()[0]

    with openai_client(gateway.url, key) as client:
        answer = client.chat.completions.create(model=LLAMA, messages=HELLO)

    assert answer.choices[0].message.content == SAID


def test_ollama_may_come_later(tmp_path: Path) -> None:
    """The gateway serves before there are models, and is not ready; they appear by themselves."""
    users = tmp_path / "users.db"
    server = OllamaServer()
    environ = variables(server, METRICS_ENABLED="false", USER_DB_PATH=str(users))
    with (
        gateway_on(lambda *_: None, environ, up=_lists_models) as gateway,
        gateway.client(headers=bearer(TOKEN)) as http,
    ):
        assert http.get("/readyz").status_code == 503
        assert http.get("/v1/models").json()["data"] == []
        assert http.post("/api/chat", json={"model": LLAMA, "messages": HELLO}).status_code == 404
        ready = httpx.get(f"{gateway.admin_url}/readyz", trust_env=False, verify=False)
        assert ready.json()["reasons"] == ["upstream ollama is required and does not list its models"]

        with server:
            until(lambda: http.post("/api/chat", json={"model": LLAMA, "messages": HELLO}).status_code == 200)
            until(lambda: http.get("/readyz").status_code == 200)

            metrics = httpx.get(f"{gateway.admin_url}/metrics", trust_env=False, verify=False)
            assert (metrics.status_code, metrics.json()["error"]["code"]) == (404, "metrics_disabled")
            shown = (gateway.folder / "output").read_text()
            assert users.stat().st_size
            assert "no CONFIG: the gateway is described by the environment" in shown
            assert TOKEN not in shown


def _lists_models(gateway: Gateway) -> bool:
    try:
        with gateway.client(headers=bearer(TOKEN)) as http:
            return http.get("/v1/models").status_code == 200
    except httpx.TransportError:
        return False


def _tollgate(*arguments: str) -> str:
    command = [sys.executable, "-m", "tollgate_cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ}, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
