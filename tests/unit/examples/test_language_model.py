"""The stand-in for a language model, asked by the real clients of OpenAI and Ollama."""

import asyncio

import httpx
import ollama
import openai
import pytest

from examples.quickstart.services import language_model
from service_kit.clock import SystemClock
from service_kit.endpoint import TcpEndpoint
from service_kit.http import HttpServer
from tests.support.eventually import eventually
from tests.support.ports import free_port

PACE = 0.01
HELLO = [{"role": "user", "content": "hello"}]
MODELS = ["llama3.1:8b", "nomic-embed-text:latest", "qwen2.5:7b"]
WORDS = "You said: hello I am a stand-in, and repeat it word for word."


@pytest.fixture
async def url():
    address = TcpEndpoint("127.0.0.1", free_port())
    server = HttpServer(language_model(SystemClock(), pace=PACE), address)
    task = asyncio.create_task(server.serve())
    yield f"http://{address}"
    server.stop()
    await task


@pytest.fixture
async def openai_client(url):
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def ollama_client(url):
    client = ollama.AsyncClient(host=url)
    yield client
    await client._client.aclose()


async def test_openai_chat(openai_client):
    answer = await openai_client.chat.completions.create(model="llama3.1:8b", messages=HELLO)

    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (WORDS, "stop")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_openai_chat_streams_at_the_pace_of_a_model(openai_client):
    loop = asyncio.get_running_loop()
    stream = await openai_client.chat.completions.create(model="llama3.1:8b", messages=HELLO, stream=True)
    times, text = [], ""
    async for chunk in stream:
        times.append(loop.time())
        text += chunk.choices[0].delta.content or ""

    assert text == WORDS
    assert times[-1] - times[0] >= PACE * (len(WORDS.split()) - 1)
    assert chunk.choices[0].finish_reason == "stop"


async def test_openai_sends_the_usage_last_where_it_is_asked_for(openai_client):
    stream = await openai_client.chat.completions.create(
        model="llama3.1:8b", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], len(WORDS.split()))


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_openai_stops_at_the_limit(openai_client, name):
    answer = await openai_client.chat.completions.create(model="llama3.1:8b", messages=HELLO, **{name: 2})

    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("You said: ", "length")
    assert answer.usage.completion_tokens == 2


async def test_openai_gives_as_many_choices_as_asked_for(openai_client):
    answer = await openai_client.chat.completions.create(model="llama3.1:8b", messages=HELLO, n=2)

    assert [choice.index for choice in answer.choices] == [0, 1]


async def test_openai_refuses_an_unknown_model_as_openai_does(openai_client):
    with pytest.raises(openai.NotFoundError) as caught:
        await openai_client.chat.completions.create(model="none", messages=HELLO)

    assert (caught.value.code, caught.value.type) == ("model_not_found", "invalid_request_error")


async def test_openai_refuses_a_chat_without_messages(openai_client):
    with pytest.raises(openai.BadRequestError) as caught:
        await openai_client.chat.completions.create(model="llama3.1:8b", messages=[])

    assert caught.value.param == "messages"


async def test_openai_lists_its_models(openai_client):
    listed = [model.id async for model in openai_client.models.list()]

    assert listed == MODELS
    assert (await openai_client.models.retrieve("qwen2.5:7b")).id == "qwen2.5:7b"


@pytest.mark.parametrize("how", [{}, {"encoding_format": "float"}], ids=["packed", "numbers"])
async def test_openai_embeds_so_that_likeness_shows(openai_client, how):
    texts = ["my invoice is wrong", "the invoice is wrong", "lunch for all"]
    answer = await openai_client.embeddings.create(model="nomic-embed-text", input=texts, **how)
    one, like, unlike = (item.embedding for item in answer.data)

    assert _product(one, like) > _product(one, unlike)
    assert answer.usage.prompt_tokens == sum(len(text.split()) for text in texts)


def _product(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("stream", [False, True])
async def test_openai_completes(openai_client, stream):
    answer = await openai_client.completions.create(model="llama3.1:8b", prompt="hello", stream=stream)
    parts = [part async for part in answer] if stream else [answer]

    assert "".join(part.choices[0].text for part in parts) == WORDS
    assert parts[-1].choices[0].finish_reason == "stop"


async def test_a_stream_ends_as_openais_does(url):
    body = {"model": "llama3.1:8b", "messages": HELLO, "stream": True}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/v1/chat/completions", json=body)

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_ollama_chat(ollama_client):
    answer = await ollama_client.chat(model="llama3.1:8b", messages=HELLO)

    assert (answer.message.content, answer.done_reason, answer.eval_count) == (WORDS, "stop", len(WORDS.split()))


async def test_ollama_chat_streams(ollama_client):
    parts = [part async for part in await ollama_client.chat(model="llama3.1:8b", messages=HELLO, stream=True)]

    assert "".join(part.message.content for part in parts) == WORDS
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


async def test_ollama_generates(ollama_client):
    parts = [part async for part in await ollama_client.generate(model="qwen2.5:7b", prompt="hello", stream=True)]

    assert "".join(part.response for part in parts) == WORDS
    assert parts[-1].total_duration > 0


async def test_ollama_stops_at_the_limit(ollama_client):
    answer = await ollama_client.chat(model="llama3.1:8b", messages=HELLO, options={"num_predict": 1})

    assert (answer.message.content, answer.done_reason) == ("You ", "length")


async def test_ollama_loads_a_model_that_is_asked_nothing(ollama_client):
    answer = await ollama_client.chat(model="llama3.1:8b", messages=[])

    assert (answer.done, answer.done_reason) == (True, "load")


async def test_ollama_lists_its_models(ollama_client):
    assert [model.model for model in (await ollama_client.list()).models] == MODELS


async def test_ollama_shows_what_a_model_can_do(ollama_client):
    chats, embeds = [await ollama_client.show(name) for name in ("llama3.1:8b", "nomic-embed-text")]

    assert (chats.capabilities, embeds.capabilities) == (["completion"], ["embedding"])
    assert chats.modelinfo["llama.context_length"] == 131072


async def test_ollama_embeds(ollama_client):
    answer = await ollama_client.embed(model="nomic-embed-text", input=["a cat", "a dog"])

    assert [len(vector) for vector in answer.embeddings] == [64, 64]
    assert answer.prompt_eval_count == 4


async def test_ollama_refuses_an_unknown_model_as_ollama_does(ollama_client):
    with pytest.raises(ollama.ResponseError, match="model 'none' not found") as caught:
        await ollama_client.chat(model="none", messages=HELLO)

    assert caught.value.status_code == 404


async def test_ollama_streams_unless_it_is_told_not_to(url):
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/api/chat", content=f'{{"model": "llama3.1:8b", "messages": [{_message()}]}}')

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert len(answer.text.splitlines()) == len(WORDS.split()) + 1


def _message():
    return '{"role": "user", "content": "hello"}'


async def test_a_client_that_leaves_does_not_disturb_the_next(url):
    body = {"model": "llama3.1:8b", "messages": HELLO, "stream": True}
    async with httpx.AsyncClient() as client:
        async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
            await anext(answer.aiter_lines())

        assert await eventually(lambda: _works(client, url))


async def _works(client, url):
    return (await client.get(f"{url}/v1/models")).status_code == 200
