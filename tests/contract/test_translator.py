"""Vendors' own clients through the real Envoy and the translator to another vendor's API."""

import base64
import json
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import ollama
import openai
import pytest

from tests.support.eventually import until
from tests.support.llm.calls import Outcome
from tests.support.llm.catalog import vector
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import KEY, OpenAIServer
from tests.support.llm.script import Fault, Script, ToolUse
from tests.support.llm.stand_in import StandIn
from tests.support.llm.tokens import prompt_tokens, words
from tests.support.translation import TranslatingGateway, Way, translating_gateway

MESSAGES = [{"role": "user", "content": "how are you"}]
PROMPT = prompt_tokens(["how are you"])
PARIS = {"city": "Paris"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
IMAGE = base64.b64encode(b"\x89PNG\r\n\x1a\nnot much of an image").decode()
MEGABYTES = 8
LARGE = "w" * (MEGABYTES << 20)


class Running:
    """The gateway, and who stands behind it."""

    def __init__(self, gateway: TranslatingGateway, servers: dict[Way, StandIn]) -> None:
        self.gateway = gateway
        self.servers = servers


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with (
        OllamaServer() as its_own_api,
        OpenAIServer() as openais,
        tempfile.TemporaryDirectory(prefix="tr") as folder,
    ):
        to_ollama = Way("openai", "ollama-native", its_own_api.port)
        key = ("authorization", f"Bearer {KEY}")
        to_openai = Way("ollama", "openai", openais.port, headers=(key,))
        with translating_gateway(Path(folder), (to_ollama, to_openai), "--log-level", "debug") as gateway:
            yield Running(gateway, {to_ollama: its_own_api, to_openai: openais})


@pytest.fixture
def ways(running: Running) -> dict[str, Way]:
    for server in running.servers.values():
        server.forget()
    return {way.dialect: way for way in running.servers}


@pytest.fixture
def ollamas(running: Running, ways: dict[str, Way]) -> StandIn:
    return running.servers[ways["openai"]]


@pytest.fixture
def openais(running: Running, ways: dict[str, Way]) -> StandIn:
    return running.servers[ways["ollama"]]


@pytest.fixture
def openai_client(running: Running, ways: dict[str, Way]) -> Iterator[openai.OpenAI]:
    url = running.gateway.url(ways["openai"])
    with openai.OpenAI(base_url=url, api_key="client", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def ollama_client(running: Running, ways: dict[str, Way]) -> Iterator[ollama.Client]:
    with ollama.Client(host=running.gateway.url(ways["ollama"]), timeout=30) as client:
        yield client


def test_openais_client_chats_with_ollama(openai_client, ollamas):
    ollamas.plays(Script(text="I am well"))

    answer = openai_client.chat.completions.create(model="llama3.1:8b", messages=MESSAGES, max_tokens=5)

    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("I am well", "stop")
    assert answer.model == "llama3.1:8b"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (PROMPT, 3)
    (call,) = ollamas.calls
    assert (call.method, call.path, call.body["options"]) == ("POST", "/api/chat", {"num_predict": 5})


def test_ollamas_client_chats_with_openai(ollama_client, openais):
    openais.plays(Script(text="I am well"))

    answer = ollama_client.chat("gpt-4o-mini", MESSAGES, options={"num_predict": 5})

    assert (answer.message.content, answer.done_reason, answer.done) == ("I am well", "stop", True)
    assert (answer.prompt_eval_count, answer.eval_count) == (PROMPT, 3)
    (call,) = openais.calls
    assert (call.method, call.path, call.body["max_tokens"]) == ("POST", "/v1/chat/completions", 5)


def test_openais_stream_passes_while_it_is_made(openai_client, ollamas):
    gate = threading.Event()
    ollamas.plays(Script(text=words(6), gates={3: gate}))
    asked = {"model": "llama3.1:8b", "messages": MESSAGES, "stream_options": {"include_usage": True}}

    stream = openai_client.chat.completions.create(**asked, stream=True)
    first = [next(stream) for _ in range(2)]
    assert not gate.is_set()
    gate.set()
    chunks = [*first, *stream]

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == words(6)
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == [6]


def test_ollamas_stream_passes_while_it_is_made(ollama_client, openais):
    gate = threading.Event()
    openais.plays(Script(text=words(6), gates={3: gate}))

    stream = ollama_client.chat("gpt-4o-mini", MESSAGES, stream=True)
    first = [next(stream) for _ in range(2)]
    assert not gate.is_set()
    gate.set()
    parts = [*first, *stream]

    assert "".join(part.message.content or "" for part in parts) == words(6)
    assert (parts[-1].done, parts[-1].eval_count) == (True, 6)


def test_the_streams_bytes_are_those_of_the_dialect(running, ways, ollamas, openais):
    asked = {"model": "gpt-4o-mini", "messages": MESSAGES}
    theirs = httpx.post(f"{running.gateway.url(ways['ollama'])}/api/chat", json=asked)
    ours = {"model": "llama3.1:8b", "messages": MESSAGES, "stream": True}
    events = httpx.post(f"{running.gateway.url(ways['openai'])}/chat/completions", json=ours)

    assert theirs.headers["content-type"] == "application/x-ndjson"
    assert json.loads(theirs.text.splitlines()[-1])["done"] is True
    assert events.headers["content-type"] == "text/event-stream"
    assert events.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tools_through_openais_client(openai_client, ollamas, streamed):
    ollamas.plays(Script(calls=(ToolUse("weather", PARIS),)))
    asked = {"model": "llama3.1:8b", "messages": MESSAGES, "tools": [TOOL], "stream": streamed}

    answer = openai_client.chat.completions.create(**asked)
    choices = [chunk.choices[0] for chunk in answer if chunk.choices] if streamed else [answer.choices[0]]

    calls = [call for choice in choices for call in (choice.delta if streamed else choice.message).tool_calls or ()]
    assert [call.function.name for call in calls if call.function.name] == ["weather"]
    assert json.loads("".join(call.function.arguments or "" for call in calls)) == PARIS
    assert choices[-1].finish_reason == "tool_calls"
    assert ollamas.calls[0].body["tools"][0]["function"]["name"] == "weather"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tools_through_ollamas_client(ollama_client, openais, streamed):
    openais.plays(Script(calls=(ToolUse("weather", PARIS),)))

    answer = ollama_client.chat("gpt-4o-mini", MESSAGES, tools=[TOOL], stream=streamed)
    parts = list(answer) if streamed else [answer]

    calls = [call.function for part in parts for call in part.message.tool_calls or ()]
    assert [(call.name, call.arguments) for call in calls] == [("weather", PARIS)]


def test_images(openai_client, ollama_client, ollamas, openais):
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}
    openai_client.chat.completions.create(model="llava:7b", messages=[{"role": "user", "content": [url]}])
    ollama_client.chat("gpt-4o-mini", [{**MESSAGES[0], "images": [IMAGE]}])

    assert [server.calls[0].images for server in (ollamas, openais)] == [1, 1]


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_of_ollama(openai_client, encoding):
    model = "nomic-embed-text"
    answer = openai_client.embeddings.create(model=model, input=["one two", "three"], encoding_format=encoding)

    assert (answer.model, answer.usage.prompt_tokens) == (model, 3)
    found = answer.data[1].embedding
    assert len(base64.b64decode(found)) == 64 if encoding == "base64" else found == pytest.approx(vector("three"))


def test_embeddings_of_openai(ollama_client):
    answer = ollama_client.embed("text-embedding-3-small", ["one two", "three"])

    assert [list(numbers) for numbers in answer.embeddings] == [vector("one two"), vector("three")]


def test_completions(openai_client, ollama_client, ollamas, openais):
    for server in (ollamas, openais):
        server.plays(Script(text=words(4)))

    told = openai_client.completions.create(model="llama3.1:8b", prompt="once").choices[0].text
    generated = ollama_client.generate("gpt-4o-mini", "once").response

    assert (told, generated) == (words(4), words(4))


def test_what_needs_no_upstream_asks_none(ollama_client, openais):
    assert ollama_client.generate("gpt-4o-mini", "").done_reason == "load"
    assert openais.calls == []


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_parameter_that_the_vendor_does_not_have_is_refused(openai_client, ollamas, streamed):
    with pytest.raises(openai.BadRequestError) as raised:
        openai_client.chat.completions.create(model="llama3.1:8b", messages=MESSAGES, logprobs=True, stream=streamed)

    assert (raised.value.param, raised.value.code) == ("logprobs", "unsupported_parameter")
    assert ollamas.calls == []


def test_a_request_that_is_none_is_refused(running, ways, ollamas):
    url = f"{running.gateway.url(ways['openai'])}/chat/completions"

    answers = [httpx.post(url, content=b"{"), httpx.get(url), httpx.post(url)]

    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert [answer.json()["error"]["code"] for answer in answers] == ["invalid_json"] * 3
    assert ollamas.calls == []


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_errors_of_ollama_are_told_as_openais(openai_client, ollamas, streamed):
    with pytest.raises(openai.NotFoundError, match="model 'nobody' not found"):
        openai_client.chat.completions.create(model="nobody", messages=MESSAGES, stream=streamed)
    ollamas.plays(Script(fault=Fault(429, "busy", headers={"retry-after": "3"})))
    with pytest.raises(openai.RateLimitError, match="busy") as raised:
        openai_client.chat.completions.create(model="llama3.1:8b", messages=MESSAGES, stream=streamed)

    assert raised.value.response.headers["retry-after"] == "3"
    assert raised.value.type == "rate_limit_error"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_errors_of_openai_are_told_as_ollamas(ollama_client, openais, streamed):
    openais.plays(Script(fault=Fault(500, "out of order")))

    with pytest.raises(ollama.ResponseError) as raised:
        list(ollama_client.chat("gpt-4o-mini", MESSAGES, stream=streamed))

    assert (raised.value.status_code, raised.value.error) == (500, "out of order")


def test_an_error_in_a_stream_is_told_in_the_stream(openai_client, ollama_client, ollamas, openais):
    for server in (ollamas, openais):
        server.plays(Script(text=words(5), breaks=2))

    with pytest.raises(openai.APIError, match="told to fail"):
        list(openai_client.chat.completions.create(model="llama3.1:8b", messages=MESSAGES, stream=True))
    with pytest.raises(ollama.ResponseError, match="told to fail"):
        list(ollama_client.chat("gpt-4o-mini", MESSAGES, stream=True))


def test_large_bodies_pass_both_ways(openai_client, ollama_client, ollamas, openais):
    for server in (ollamas, openais):
        server.plays_always(Script(text=LARGE))
    messages = [{"role": "user", "content": LARGE}]

    told = openai_client.chat.completions.create(model="llama3.1:8b", messages=messages)
    said = ollama_client.chat("gpt-4o-mini", messages)

    assert told.choices[0].message.content == said.message.content == LARGE
    assert [server.calls[0].body["messages"][0]["content"] for server in (ollamas, openais)] == [LARGE, LARGE]
    assert len(ollamas.calls[0].raw) > MEGABYTES << 20


def test_a_client_that_leaves_closes_the_upstream(running, openai_client, ollama_client, ollamas, openais):
    for server in (ollamas, openais):
        server.plays(Script(text=words(50), gates={3: threading.Event()}))

    streams = (
        openai_client.chat.completions.create(model="llama3.1:8b", messages=MESSAGES, stream=True),
        ollama_client.chat("gpt-4o-mini", MESSAGES, stream=True),
    )
    for stream in streams:
        next(stream)
        next(stream)
        stream.close()

    assert [server.settled()[0].outcome for server in (ollamas, openais)] == [Outcome.LEFT, Outcome.LEFT]
    until(lambda: running.gateway.translator.metrics()["tollgate_translator_open_streams"] == 0)


@pytest.mark.parametrize(
    ("dialect", "path", "model"),
    [
        pytest.param("openai", "/chat/completions", "llama3.1:8b", id="openai"),
        pytest.param("ollama", "/api/chat", "gpt-4o-mini", id="ollama"),
    ],
)
def test_an_upstream_that_is_cut_off_ends_no_stream(running, ways, dialect, path, model):
    gate = threading.Event()
    running.servers[ways[dialect]].plays(Script(text=words(8), gates={2: gate}, cut=3))
    asked = {"model": model, "messages": MESSAGES, "stream": True}

    with httpx.stream("POST", running.gateway.url(ways[dialect]) + path, json=asked, timeout=30) as response:
        chunks = response.iter_raw()
        came = [next(chunks)]
        gate.set()
        with pytest.raises(httpx.RemoteProtocolError):
            came.extend(chunks)

    text = b"".join(came)
    assert b"word1" in text
    assert b"[DONE]" not in text
    assert b'"done":true' not in text


def test_calls_are_counted_by_their_pair_and_what_came_of_them(running, openai_client, ollamas):
    metrics = running.gateway.translator.metrics
    before = metrics()
    pair = 'dialect="openai",outcome="{}",provider="ollama-native"'
    names = {outcome: f"tollgate_translator_calls_total{{{pair.format(outcome)}}}" for outcome in
             ("translated", "refused", "upstream_error")}  # fmt: skip

    openai_client.chat.completions.create(model="llama3.1:8b", messages=MESSAGES)
    for model, more in (("nobody", {}), ("llama3.1:8b", {"logprobs": True})):
        with pytest.raises(openai.APIStatusError):
            openai_client.chat.completions.create(model=model, messages=MESSAGES, **more)

    after = until(lambda: found if (found := metrics())["tollgate_translator_open_streams"] == 0 else None)
    assert {outcome: after[name] - before.get(name, 0) for outcome, name in names.items()} == dict.fromkeys(names, 1)
    seconds = 'tollgate_translator_seconds_count{dialect="openai",provider="ollama-native"}'
    assert after[seconds] - before.get(seconds, 0) == 3


def test_no_log_has_what_was_said(running, openai_client, ollamas):
    ollamas.plays(Script(text="an unspeakable answer"))
    asked = [{"role": "user", "content": "an unspeakable question"}]
    openai_client.chat.completions.create(model="llama3.1:8b", messages=asked)
    with pytest.raises(openai.BadRequestError):
        openai_client.chat.completions.create(model="llama3.1:8b", messages=asked, logit_bias={"unspeakable": 1})

    log = running.gateway.translator.log
    until(lambda: '"outcome": "refused"' in log.read_text())
    assert "unspeakable" not in log.read_text()
