"""The stand-in speaks Ollama's own API as Ollama's own client understands it."""

import base64
from collections.abc import Iterator

import ollama
import pytest

from tests.support.llm.catalog import LLAMA, vector
from tests.support.llm.clients import ollama_async_client, ollama_client, weather
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.script import Fault, Script, ToolUse, Usage
from tests.support.llm.tokens import OF_AN_IMAGE, call_tokens, prompt_tokens, words

MESSAGES = [{"role": "user", "content": "how are you"}]
PROMPT = prompt_tokens(["how are you"])
IMAGE = base64.b64encode(b"not much of an image").decode()


@pytest.fixture(scope="module")
def running() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        yield server


@pytest.fixture
def server(running: OllamaServer) -> OllamaServer:
    running.forget()
    return running


@pytest.fixture
def client(server: OllamaServer) -> Iterator[ollama.Client]:
    with ollama_client(server.url) as found:
        yield found


def test_chat(server: OllamaServer, client: ollama.Client) -> None:
    server.plays(Script(text="I am well"))
    answer = client.chat(LLAMA, MESSAGES)
    assert answer.message.content == "I am well"
    assert (answer.done_reason, answer.prompt_eval_count, answer.eval_count) == ("stop", PROMPT, 3)
    assert (answer.total_duration or 0) > (answer.load_duration or 0) > 0


def test_stream(server: OllamaServer, client: ollama.Client) -> None:
    server.plays(Script(text=words(8)))
    parts = list(client.chat(LLAMA, MESSAGES, stream=True))
    assert "".join(part.message.content or "" for part in parts) == words(8)
    assert [part.done for part in parts] == [False] * 8 + [True]
    assert server.settled()[0].sent == 8


async def test_asynchronous(server: OllamaServer) -> None:
    server.plays(Script(text=words(8)))
    client = ollama_async_client(server.url)
    said = [part.message.content or "" async for part in await client.chat(LLAMA, MESSAGES, stream=True)]
    assert "".join(said) == words(8)
    assert (await client.embed("nomic-embed-text", "one two")).prompt_eval_count == 2
    await client.close()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tools(server: OllamaServer, client: ollama.Client, *, streamed: bool) -> None:
    server.plays(Script(text="Let us see. ", calls=(ToolUse("weather", {"city": "Paris"}),)))
    answer = client.chat(LLAMA, MESSAGES, tools=[weather], stream=streamed)
    parts = list(answer) if streamed else [answer]
    calls = [call.function for part in parts for call in part.message.tool_calls or ()]
    assert [(call.name, call.arguments) for call in calls] == [("weather", {"city": "Paris"})]
    assert parts[-1].done_reason == "stop"
    assert parts[-1].eval_count == 3 + call_tokens({"city": "Paris"}) == server.settled()[0].sent


def test_thinking(server: OllamaServer, client: ollama.Client) -> None:
    server.plays(Script(text=words(3), thinking=words(5)), Script(text=words(3), thinking=words(5)))
    parts = list(client.chat("qwen3:8b", MESSAGES, think=True, stream=True))
    silent = client.chat("qwen3:8b", MESSAGES, think=False)
    assert "".join(part.message.thinking or "" for part in parts) == words(5)
    assert (parts[-1].eval_count, silent.eval_count, silent.message.thinking) == (8, 3, None)


AGE = {"type": "object", "properties": {"age": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("wanted", "text"), [("json", '{"said": "how are you"}'), (AGE, '{"age": 1}')], ids=["json", "schema"]
)
def test_a_format(client: ollama.Client, wanted: str | dict, text: str) -> None:
    assert client.chat(LLAMA, MESSAGES, format=wanted).message.content == text


def test_a_limit(server: OllamaServer, client: ollama.Client) -> None:
    answer = client.generate(LLAMA, "once", options={"num_predict": 2})
    assert (answer.response, answer.done_reason, answer.eval_count) == ("You said: ", "length", 2)
    assert server.settled()[0].truth == Usage(prompt_tokens(["once"]), 2)


def test_images(server: OllamaServer, client: ollama.Client) -> None:
    answer = client.chat("llava:7b", [{**MESSAGES[0], "images": [IMAGE, IMAGE]}])
    assert server.calls[0].images == 2
    assert answer.prompt_eval_count == PROMPT + 2 * OF_AN_IMAGE


def test_generated_stream(server: OllamaServer, client: ollama.Client) -> None:
    server.plays(Script(text=words(4)))
    parts = list(client.generate(LLAMA, "once", system="be brief", stream=True))
    assert "".join(part.response for part in parts) == words(4)
    assert parts[-1].prompt_eval_count == prompt_tokens(["be brief", "once"])
    assert parts[-1].context


def test_a_model_is_loaded_and_unloaded(server: OllamaServer, client: ollama.Client) -> None:
    assert client.generate(LLAMA, "", keep_alive="5m").done_reason == "load"
    assert LLAMA in [model.model for model in client.ps().models]
    assert client.chat(LLAMA, [], keep_alive=0).done_reason == "unload"
    assert LLAMA not in [model.model for model in client.ps().models]


def test_embeddings(client: ollama.Client) -> None:
    several = client.embed("nomic-embed-text", ["one two", "three"], dimensions=4)
    assert [list(numbers) for numbers in several.embeddings] == [vector("one two", 4), vector("three", 4)]
    assert several.prompt_eval_count == 3
    assert list(client.embeddings("nomic-embed-text", "three").embedding) == vector("three")


def test_models(server: OllamaServer, client: ollama.Client) -> None:
    listed = client.list().models
    assert [model.model for model in listed] == [model.name for model in server.models]
    shown = client.show("llava:7b")
    assert shown.capabilities == ["completion", "vision"]
    assert shown.details is not None
    assert shown.details.quantization_level == "Q4_0"


@pytest.mark.parametrize(
    ("model", "more", "status", "message"),
    [
        ("nobody", {}, 404, "model 'nobody' not found"),
        ("llava:7b", {"tools": [weather]}, 400, "registry.ollama.ai/library/llava:7b does not support tools"),
        (LLAMA, {"think": True}, 400, '"llama3.1:8b" does not support thinking'),
        ("nomic-embed-text", {}, 400, '"nomic-embed-text" does not support chat'),
    ],
    ids=["unknown", "tools", "thinking", "embedding"],
)
def test_refusals(client: ollama.Client, model: str, more: dict, status: int, message: str) -> None:
    with pytest.raises(ollama.ResponseError) as raised:
        client.chat(model, MESSAGES, **more)
    assert (raised.value.status_code, raised.value.error) == (status, message)


def test_an_error_before_and_in_the_stream(server: OllamaServer, client: ollama.Client) -> None:
    server.plays(Script(fault=Fault(503, "server busy")), Script(text=words(5), breaks=2))
    with pytest.raises(ollama.ResponseError, match="server busy"):
        client.chat(LLAMA, MESSAGES)
    stream = client.chat(LLAMA, MESSAGES, stream=True)
    assert [next(stream).message.content for _ in range(2)] == ["word1 ", "word2 "]
    with pytest.raises(ollama.ResponseError, match="told to fail"):
        next(stream)
