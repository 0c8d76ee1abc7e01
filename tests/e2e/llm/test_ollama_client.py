"""Ollama's own client through the gateway: whatever it can do, with every kind of backend behind it."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import ollama
import pytest

from tests.support.llm.backends import BACKENDS, EMBEDDING, FAR, NEAR, OWN, SEEING, THINKING, Backends
from tests.support.llm.calls import Outcome
from tests.support.llm.catalog import vector
from tests.support.llm.clients import HELLO, PLACE, ollama_async_client, ollama_client, weather
from tests.support.llm.gateway import POOR, RICH
from tests.support.llm.script import Fault, Script, ToolUse
from tests.support.llm.tokens import prompt_tokens, words

PROMPT = prompt_tokens(["hello there"])
SMALL = b"\x89PNG\r\n\x1a\nnot much of an image"
LARGE = base64.b64encode(SMALL + bytes(range(256)) * 24_000).decode()
ENDLESS = Script(text=words(2000), pace=0.05)
pytestmark = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture
def client(backends: Backends) -> Iterator[ollama.Client]:
    with ollama_client(backends.gateway.url) as found:
        yield found


def test_chat(backends: Backends, client: ollama.Client, backend: str) -> None:
    backends.server(backend).plays(Script(text="I am well"))

    answer = client.chat(backend, HELLO)

    assert (answer.message.role, answer.message.content, answer.done_reason) == ("assistant", "I am well", "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (PROMPT, 3)
    assert answer.done
    assert (answer.total_duration or 0) >= (answer.eval_duration or 0) > 0


def test_a_stream(backends: Backends, client: ollama.Client, backend: str) -> None:
    backends.server(backend).plays(Script(text=words(12)))

    parts = list(client.chat(backend, HELLO, stream=True))

    assert "".join(part.message.content or "" for part in parts) == words(12)
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert (parts[-1].prompt_eval_count, parts[-1].eval_count) == (PROMPT, 12)


async def test_chat_asynchronously(backends: Backends, backend: str) -> None:
    backends.server(backend).plays(Script(text=words(12)))
    client = ollama_async_client(backends.gateway.url)

    said = [part.message.content or "" async for part in await client.chat(backend, HELLO, stream=True)]
    answers = await asyncio.gather(*(client.chat(backend, HELLO) for _ in range(8)))
    await client._client.aclose()

    assert "".join(said) == words(12)
    assert {answer.message.content for answer in answers} == {"You said: hello there"}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_text(backends: Backends, client: ollama.Client, backend: str, *, streamed: bool) -> None:
    backends.server(backend).plays(Script(text=words(6)))

    answer = client.generate(backend, "once upon", system="be brief", stream=streamed)

    parts = list(answer) if streamed else [answer]
    assert "".join(part.response for part in parts) == words(6)
    assert (parts[-1].prompt_eval_count, parts[-1].eval_count) == (prompt_tokens(["be brief", "once upon"]), 6)


def test_vectors(client: ollama.Client, backend: str) -> None:
    answer = client.embed(f"{backend}{EMBEDDING}", ["one two", "three"])

    assert [list(numbers) for numbers in answer.embeddings] == [
        pytest.approx(vector(text), abs=1e-6) for text in ("one two", "three")
    ]
    assert answer.prompt_eval_count == 3
    assert list(client.embeddings(f"{backend}{EMBEDDING}", "three").embedding) == pytest.approx(vector("three"))


def test_models(client: ollama.Client, backend: str) -> None:
    assert backend in [model.model for model in client.list().models]
    assert client.show(backend).capabilities
    assert client.ps().models == []


async def test_models_asynchronously(backends: Backends, backend: str) -> None:
    client = ollama_async_client(backends.gateway.url)

    assert backend in [model.model for model in (await client.list()).models]
    assert (await client.show(backend)).capabilities
    assert (await client.ps()).models == []
    await client._client.aclose()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tools(backends: Backends, client: ollama.Client, backend: str, *, streamed: bool) -> None:
    """A function of Python as a tool; its answer goes back."""
    backends.server(backend).plays(Script(calls=(ToolUse("weather", {"city": "Paris"}),)))

    answer = client.chat(backend, HELLO, tools=[weather], stream=streamed)

    parts = list(answer) if streamed else [answer]
    (call,) = (call.function for part in parts for call in part.message.tool_calls or ())
    assert (call.name, call.arguments) == ("weather", {"city": "Paris"})
    asked = {"role": "assistant", "tool_calls": [{"function": {"name": call.name, "arguments": call.arguments}}]}
    told = {"role": "tool", "content": weather(**call.arguments), "tool_name": "weather"}
    again = client.chat(backend, [*HELLO, asked, told], tools=[weather])
    assert again.message.content == "You said: sunny in Paris"


@pytest.mark.parametrize("image", [LARGE, SMALL], ids=["eight-megabytes", "bytes"])
def test_images(backends: Backends, client: ollama.Client, backend: str, image: str | bytes) -> None:
    answer = client.chat(f"{backend}{SEEING}", [{"role": "user", "content": "what is this", "images": [image]}])

    assert answer.message.content == "You said: what is this"
    (call,) = backends.server(backend).calls
    assert call.images == 1
    encoded = image if isinstance(image, str) else base64.b64encode(image).decode()
    assert encoded in call.raw.decode()


def test_options(backends: Backends, client: ollama.Client, backend: str) -> None:
    options = {"num_predict": 2, "temperature": 0.5, "top_p": 0.25, "seed": 7, "stop": ["x"]}

    answer = client.chat(backend, HELLO, options=options)

    assert (answer.message.content, answer.done_reason, answer.eval_count) == ("You said: ", "length", 2)
    (call,) = backends.server(backend).calls
    sent = call.body if backend == FAR else call.body["options"]
    most = "max_completion_tokens" if backend == FAR else "num_predict"
    assert {key: sent[key] for key in ("temperature", "top_p", "seed", "stop", most)} == {
        "temperature": 0.5, "top_p": 0.25, "seed": 7, "stop": ["x"], most: 2,
    }  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_model_that_thinks(client: ollama.Client, backend: str, *, streamed: bool) -> None:
    """OpenAI's take the length of an answer by its newer name alone."""
    answer = client.chat(f"{backend}{THINKING}", HELLO, think=True, options={"num_predict": 90}, stream=streamed)

    parts = list(answer) if streamed else [answer]
    assert "".join(part.message.content or "" for part in parts) == "You said: hello there"
    assert any(part.message.thinking for part in parts) is (backend != FAR)


@pytest.mark.parametrize("keep_alive", ["5m", 0, -1])
def test_keep_alive(backends: Backends, client: ollama.Client, backend: str, keep_alive: Any) -> None:
    """Means something to who keeps models in memory, and is no reason to refuse anything elsewhere."""
    answer = client.chat(backend, HELLO, keep_alive=keep_alive)

    assert answer.message.content == "You said: hello there"
    (call,) = backends.server(backend).calls
    assert call.body.get("keep_alive") == (None if backend == FAR else keep_alive)


@pytest.mark.parametrize(
    ("wanted", "text"), [("json", '{"said": "hello there"}'), (PLACE, '{"city": "word"}')], ids=["json", "schema"]
)
def test_a_format(client: ollama.Client, backend: str, wanted: Any, text: str) -> None:
    assert client.chat(backend, HELLO, format=wanted).message.content == text


@pytest.mark.parametrize("status", [400, 429, 500])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_errors_of_the_backend(
    backends: Backends, client: ollama.Client, backend: str, status: int, *, streamed: bool
) -> None:
    backends.server(backend).plays(Script(fault=Fault(status, "not today")))

    with pytest.raises(ollama.ResponseError) as raised:
        list(client.chat(backend, HELLO, stream=streamed))

    assert (raised.value.status_code, raised.value.error) == (status, "not today")


def test_an_error_in_a_stream(backends: Backends, client: ollama.Client, backend: str) -> None:
    backends.server(backend).plays(Script(text=words(9), breaks=3))

    with pytest.raises(ollama.ResponseError, match="told to fail"):
        list(client.chat(backend, HELLO, stream=True))


@pytest.mark.parametrize(
    ("token", "model", "status"),
    [
        pytest.param("nobodys", "{}", 401, id="401"),
        pytest.param(POOR, "{}", 403, id="403"),
        pytest.param(RICH, "not-{}", 404, id="404"),
    ],
)
def test_errors_of_the_gateway(backends: Backends, backend: str, token: str, model: str, status: int) -> None:
    with ollama_client(backends.gateway.url, token) as client, pytest.raises(ollama.ResponseError) as raised:
        client.chat(model.format(backend), HELLO)

    assert raised.value.status_code == status
    assert raised.value.error[0] != "{", "a sentence and not JSON"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_a_call_that_is_cancelled(backends: Backends, backend: str, *, streamed: bool) -> None:
    backends.server(backend).plays(ENDLESS)
    client = ollama_async_client(backends.gateway.url)

    async def call() -> None:
        async for _ in await client.chat(backend, HELLO, stream=streamed):
            pass

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(), 1)

    answers = await asyncio.to_thread(backends.server(backend).settled)
    assert [answer.outcome for answer in answers] == [Outcome.LEFT]
    await client._client.aclose()


def test_who_is_asked_and_how(backends: Backends, client: ollama.Client, backend: str) -> None:
    client.chat(backend, HELLO)

    (call,) = backends.server(backend).calls
    assert call.path == {NEAR: "/api/chat", OWN: "/api/chat", FAR: "/v1/chat/completions"}[backend]
