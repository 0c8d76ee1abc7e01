"""When a provider fails, the next one answers, with its own name of the model, its own path and its own key."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.calls import Outcome
from tests.support.llm.catalog import Model
from tests.support.llm.clients import CHAT, HELLO
from tests.support.llm.gateway import bearer, before, cloud_upstream, local_upstream
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer
from tests.support.llm.script import BEFORE_HEAD, Fault, Script
from tests.support.llm.tokens import words

MODEL = "reliable"
FIRST_KEY, SECOND_KEY = "sk-of-the-first", "sk-of-the-second"
FIRST_BYTE = 1.0
AT_ONCE = 20


def says(*, stream: bool = False) -> dict[str, Any]:
    return {"model": MODEL, "messages": HELLO, "stream": stream}


@pytest.fixture(scope="module")
def first() -> Iterator[OpenAIServer]:
    with OpenAIServer([Model("first-model")], keys=[FIRST_KEY]) as server:
        yield server


@pytest.fixture(scope="module")
def second() -> Iterator[OpenAIServer]:
    with OpenAIServer([Model("second/model:1")], keys=[SECOND_KEY]) as server:
        yield server


@pytest.fixture(scope="module")
def last() -> Iterator[OllamaServer]:
    """Which takes no key at all."""
    with OllamaServer([Model("last:1b")]) as server:
        yield server


@pytest.fixture(scope="module")
def running(first: OpenAIServer, second: OpenAIServer, last: OllamaServer) -> Iterator[Gateway]:
    one_at_a_time = {"max_requests": 1, "max_connections": 1, "max_pending": 1}
    to_second = [{"upstream": "second", "model": "second/model:1"}]
    config = {
        **before(last, second),
        "upstreams": {
            "first": cloud_upstream(first, FIRST_KEY),
            "second": {**cloud_upstream(second, SECOND_KEY), "url": f"{second.url}/v1"},
            "last": local_upstream(last),
            "narrow": cloud_upstream(first, FIRST_KEY, circuit_breaker=one_at_a_time),
            "nowhere": {"url": "http://no-such-host.invalid:9", "api": "ollama", "health_check": "none"},
            "closed": {"url": f"http://127.0.0.1:{closed_port()}", "api": "ollama", "health_check": "none"},
        },
        "models": [
            {"name": MODEL, "upstream": "first", "upstream_model": "first-model", "timeout": f"{FIRST_BYTE}s",
             "fallback": [*to_second, {"upstream": "last", "model": "last:1b"}]},
            {"name": "unresolved", "upstream": "nowhere", "fallback": to_second},
            {"name": "refused", "upstream": "closed", "fallback": to_second},
            {"name": "narrow", "upstream": "narrow", "upstream_model": "first-model", "fallback": to_second},
            {"name": "shared", "upstream": [{"name": "first", "model": "first-model", "weight": 1},
                                            {"name": "second", "model": "second/model:1", "weight": 1}]},
        ],
        "plans": {"pro": {"models": ["*"]}, "free": {}},
        "llm": {"ollama": False},
    }  # fmt: skip
    with running_gateway(config) as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Gateway, first: OpenAIServer, second: OpenAIServer, last: OllamaServer) -> Gateway:
    for server in (first, second, last):
        server.forget()
    return running


def closed_port() -> int:
    """Nobody listens there for as long as the socket is bound, and it is."""
    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    BOUND.append(found)
    port: int = found.getsockname()[1]
    return port


BOUND: list[socket.socket] = []

FAILURES = (
    pytest.param(Script(fault=Fault(500)), id="500"),
    pytest.param(Script(fault=Fault(503)), id="503"),
    pytest.param(Script(fault=Fault(429, headers={"retry-after": "7"})), id="429"),
    pytest.param(Script(fault=Fault(401)), id="401 for our key"),
    pytest.param(Script(fault=Fault(402)), id="402 for our account"),
    pytest.param(Script(cut=BEFORE_HEAD), id="hangs up"),
    pytest.param(Script(cut=BEFORE_HEAD, reset=True), id="resets"),
)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("failure", FAILURES)
def test_the_next_one_answers(
    gateway: Gateway, http: httpx.Client, first: OpenAIServer, second: OpenAIServer, failure: Script, *, stream: bool
) -> None:
    first.plays(failure)

    answer = http.post(CHAT, json=says(stream=stream))

    assert answer.status_code == 200
    assert "hello" in answer.text
    (call,) = second.calls
    assert (call.path, call.body["model"]) == (CHAT, "second/model:1")
    assert call.headers["authorization"] == f"Bearer {SECOND_KEY}"
    row = gateway.logged(answer.headers["x-request-id"])
    assert row["targets"][row["upstream"]]["upstream"] == "second"
    assert (row["attempts"], row["tokens_out"]) == (2, len(["You", "said:", "hello", "there"]))


def test_silence_is_a_failure(http: httpx.Client, first: OpenAIServer, second: OpenAIServer) -> None:
    first.plays(Script(silence=FIRST_BYTE * 20))

    assert http.post(CHAT, json=says(stream=True)).status_code == 200
    assert len(second.calls) == 1
    assert first.settled()[0].outcome is Outcome.LEFT


def test_no_key_reaches_another_provider(
    http: httpx.Client, first: OpenAIServer, second: OpenAIServer, last: OllamaServer
) -> None:
    """The last one has none, and gets none: neither of those before it nor the client's."""
    first.plays(Script(fault=Fault(500)))
    second.plays(Script(fault=Fault(500)))

    assert http.post(CHAT, json=says()).status_code == 200

    assert first.calls[0].headers["authorization"] == f"Bearer {FIRST_KEY}"
    assert second.calls[0].headers["authorization"] == f"Bearer {SECOND_KEY}"
    assert "authorization" not in last.calls[0].headers
    assert last.calls[0].body["model"] == "last:1b"


@pytest.mark.parametrize("model", ["unresolved", "refused"])
def test_an_upstream_without_endpoints_is_passed_over(http: httpx.Client, second: OpenAIServer, model: str) -> None:
    assert http.post(CHAT, json={**says(), "model": model}).status_code == 200
    assert len(second.calls) == 1


def test_a_full_upstream_is_passed_over(gateway: Gateway, first: OpenAIServer, second: OpenAIServer) -> None:
    """What its circuit breaker does not let pass goes on to the next one, however many they are."""
    first.plays_always(Script(silence=0.5))

    def ask(_number: int) -> int:
        with gateway.client(headers=bearer()) as client:
            return client.post(CHAT, json={**says(), "model": "narrow"}).status_code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = set(pool.map(ask, range(AT_ONCE)))

    assert statuses == {200}
    assert len(first.calls) + len(second.calls) == AT_ONCE
    assert second.calls


def test_many_failures_at_once_all_go_on(gateway: Gateway, first: OpenAIServer, second: OpenAIServer) -> None:
    """No bound of retries leaves some of them with the first one's error."""
    first.plays_always(Script(fault=Fault(503)))

    def ask(_number: int) -> int:
        with gateway.client(headers=bearer()) as client:
            return client.post(CHAT, json=says()).status_code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert set(pool.map(ask, range(AT_ONCE))) == {200}
    assert len(second.calls) == AT_ONCE


def test_a_large_body_goes_on_whole(http: httpx.Client, first: OpenAIServer, second: OpenAIServer) -> None:
    first.plays(Script(fault=Fault(500)))
    text = "x" * (8_000_000)

    answer = http.post(CHAT, json={"model": MODEL, "messages": [{"role": "user", "content": text}]})

    assert answer.status_code == 200
    assert second.calls[0].body["messages"][0]["content"] == text


def test_an_answer_that_has_begun_is_not_asked_for_again(
    http: httpx.Client, first: OpenAIServer, second: OpenAIServer
) -> None:
    first.plays(Script(text=words(20), cut=5))

    with pytest.raises(httpx.RemoteProtocolError):
        http.post(CHAT, json=says(stream=True))

    assert second.calls == []


@pytest.mark.parametrize("status", [400, 404])
def test_a_mistake_of_the_client_is_nobodys_failure(
    http: httpx.Client, first: OpenAIServer, second: OpenAIServer, status: int
) -> None:
    first.plays(Script(fault=Fault(status)))

    assert http.post(CHAT, json=says()).status_code == status
    assert second.calls == []


def test_when_all_fail_the_last_one_has_the_word(
    http: httpx.Client, first: OpenAIServer, second: OpenAIServer, last: OllamaServer
) -> None:
    for server in (first, second, last):
        server.plays_always(Script(fault=Fault(500)))

    answer = http.post(CHAT, json=says())

    assert answer.status_code == 500
    assert [len(server.calls) for server in (first, second, last)] == [1, 1, 1]


def test_nobody_at_all(gateway: Gateway, http: httpx.Client, second: OpenAIServer) -> None:
    second.stop()
    try:
        answer = http.post(CHAT, json={**says(), "model": "refused"})
    finally:
        second.start()

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
    assert answer.json()["error"]["type"] == "api_error"


def test_upstreams_share_a_models_calls(http: httpx.Client, first: OpenAIServer, second: OpenAIServer) -> None:
    for _ in range(60):
        assert http.post(CHAT, json={**says(), "model": "shared"}).status_code == 200

    assert {call.body["model"] for call in first.calls} == {"first-model"}
    assert {call.body["model"] for call in second.calls} == {"second/model:1"}
    assert min(len(first.calls), len(second.calls)) > 0


def test_who_hangs_up_ends_the_answer_of_the_next_one(
    http: httpx.Client, first: OpenAIServer, second: OpenAIServer
) -> None:
    first.plays(Script(fault=Fault(500)))
    second.plays(Script(text=words(1000), pace=0.05))

    with http.stream("POST", CHAT, json=says(stream=True)) as stream:
        next(stream.iter_lines())

    (answer,) = second.settled()
    assert answer.outcome is Outcome.LEFT


def test_what_upstreams_get_is_what_the_client_said(http: httpx.Client, first: OpenAIServer) -> None:
    """A name inside of the conversation is no model's."""
    messages = [{"role": "user", "content": json.dumps({"model": "first-model", "a": '"model":"x"'})}]

    http.post(CHAT, json={"messages": messages, "model": MODEL, "metadata": {"model": "inner"}})

    assert first.calls[0].body["messages"] == messages
    assert first.calls[0].body["metadata"] == {"model": "inner"}
    assert first.calls[0].body["model"] == "first-model"
    assert "x-envoy-internal" not in first.calls[0].headers
