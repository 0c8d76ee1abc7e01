"""The translator is killed, between calls and in the middle of them: nobody gets half an answer as a whole one."""

import json
import os
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.e2e.test_tokens import data
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.calls import Outcome
from tests.support.llm.catalog import GPT, LLAMA
from tests.support.llm.clients import CHAT, HELLO, OLLAMA_CHAT, SAID
from tests.support.llm.gateway import RICH, bearer, cloud_upstream, local_upstream
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer
from tests.support.llm.script import Script
from tests.support.llm.tokens import words

EITHER = "either"
TRANSLATOR = "llm_translator"
# By whom a call is asked in the API that its first target does not speak.
ASKED = (pytest.param(CHAT, LLAMA, id="openai"), pytest.param(OLLAMA_CHAT, GPT, id="ollama"))


@pytest.fixture(scope="module")
def running(local: OllamaServer, cloud: OpenAIServer) -> Iterator[Gateway]:
    one = {"limits": [{"concurrent": 1}]}
    config = {
        "identity": {"bearer_tokens": [{"name": "rich", "token": RICH, "consumer": "acme"}]},
        "defaults": {"auth": ["bearer"]},
        "consumers": [{"name": "acme", "plan": "pro"}],
        "plans": {"pro": {"quotas": [{"usage": "tokens", "amount": "1000000/month"}]}},
        "upstreams": {"local": local_upstream(local, api="ollama-native"), "cloud": cloud_upstream(cloud)},
        "models": [
            {"name": LLAMA, "upstream": "local", **one},
            {"name": GPT, "upstream": "cloud", **one},
            {"name": EITHER, "upstream": "local", "upstream_model": LLAMA, "fallback": [GPT]},
        ],
    }
    with running_gateway(config) as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Gateway, local: OllamaServer, cloud: OpenAIServer) -> Gateway:
    """Whose translator is back from the test before."""
    with running.client(headers=bearer()) as http:
        until(lambda: asked(http, CHAT, LLAMA).status_code == 200 and ready(running) == 200)
    local.forget()
    cloud.forget()
    return running


@contextmanager
def without_translator(gateway: Gateway) -> Iterator[None]:
    """Nobody is there who would start it again."""
    gateway.process.send_signal(signal.SIGSTOP)
    try:
        gateway.kill(TRANSLATOR)
        yield
    finally:
        gateway.process.send_signal(signal.SIGCONT)


def ready(gateway: Gateway) -> int:
    with gateway.client() as http:
        return http.get("/readyz").status_code


def asked(http: httpx.Client, path: str, model: str) -> httpx.Response:
    body: dict[str, Any] = {"model": model, "messages": HELLO, "stream": False}
    return http.post(path, json=body)


def told(path: str, answer: httpx.Response) -> Mapping[str, Any]:
    """What an error says, in the client's own shape."""
    error = answer.json()["error"]
    if path == OLLAMA_CHAT:
        return {"message": error}
    assert error.keys() == {"message", "type", "param", "code", "request_id"}
    assert (error["type"], error["request_id"]) == ("api_error", answer.headers["x-request-id"])
    return {"message": error["message"], "code": error["code"]}


def cut_off(gateway: Gateway, http: httpx.Client, path: str, model: str) -> tuple[httpx.Response, list[str]]:
    """A stream of which the translator is killed behind its first line, and the lines that came."""
    lines: list[str] = []
    with http.stream("POST", path, json={"model": model, "messages": HELLO, "stream": True}) as stream:
        try:
            for line in stream.iter_lines():
                if not lines:
                    gateway.kill(TRANSLATOR)
                lines.append(line)
        except httpx.RemoteProtocolError:
            return stream, lines
    raise AssertionError("it ended as a whole one does")


def held(gateway: Gateway) -> int:
    (quota,) = data(gateway, "quota", "list", "--consumer", "acme")["quotas"]
    return int(quota["held"])


@pytest.mark.parametrize(("path", "model"), ASKED)
def test_a_call_fails_in_the_clients_dialect_and_then_succeeds_again(
    gateway: Gateway, http: httpx.Client, path: str, model: str
) -> None:
    with without_translator(gateway):
        refused = asked(http, path, model)
        native = asked(http, CHAT, GPT)
        passed_over = asked(http, CHAT, EITHER)

    assert refused.status_code == 503
    message = "The call cannot be translated for the upstream now: retry in a moment."
    assert told(path, refused) in ({"message": message}, {"message": message, "code": "translator_unavailable"})
    assert (native.status_code, passed_over.status_code) == (200, 200), "who needs no translator does not miss it"
    until(lambda: asked(http, path, model).status_code == 200)
    until(lambda: held(gateway) == 0)


@pytest.mark.parametrize(("path", "model"), ASKED)
def test_a_stream_is_cut_and_what_it_held_is_settled(
    gateway: Gateway, http: httpx.Client, local: OllamaServer, cloud: OpenAIServer, path: str, model: str
) -> None:
    """It ends as no whole answer does: neither in HTTP, nor in the words of the API."""
    for server in (local, cloud):
        server.plays(Script(text=words(400), pace=0.05))

    stream, lines = cut_off(gateway, http, path, model)

    assert stream.status_code == 200
    assert "data: [DONE]" not in lines
    assert not any(json.loads(line)["done"] for line in lines if path == OLLAMA_CHAT)
    (ended,) = (local if path == CHAT else cloud).settled()
    assert ended.outcome is Outcome.LEFT, "the model does not go on for nobody"
    row = gateway.logged(stream.headers["x-request-id"])
    assert (row["status"], row["model"]) == (200, model)
    for server in (local, cloud):
        server.forget()
    until(lambda: asked(http, path, model).status_code == 200)
    until(lambda: held(gateway) == 0)


def test_a_call_that_waits_for_its_answer_goes_to_the_next_one(
    gateway: Gateway, http: httpx.Client, local: OllamaServer, cloud: OpenAIServer
) -> None:
    """The answer had not begun."""
    local.plays(Script(text=words(40), pace=0.1))

    with ThreadPoolExecutor(1) as beside:
        asking = beside.submit(asked, http, CHAT, EITHER)
        until(lambda: local.calls)
        gateway.kill(TRANSLATOR)
        answer = asking.result()

    assert (answer.status_code, SAID in answer.text) == (200, True)
    assert len(cloud.calls) == 1


def test_readiness_tells_that_the_translator_is_away(gateway: Gateway) -> None:
    pid = gateway.pid_of(TRANSLATOR)
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: ready(gateway) == 503)
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: ready(gateway) == 200)
