"""What the vendors' own clients send and read, with a translator in the place of the wire."""

from collections.abc import Mapping
from typing import Any

import httpx
import httpx2
import ollama
import openai
import pytest

from llm_providers.asked import Untranslatable
from llm_providers.translation import Answered, Call
from tests.support.clock import StillClock
from tests.support.translators import translator_between

USAGE = '"usage":{"prompt_tokens":9,"completion_tokens":4}'
CHUNKS = (
    'data: {"choices":[{"index":0,"delta":{"content":"Because "}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{"content":"so."},"finish_reason":"stop"}]}\n\n'
    f'data: {{"choices":[],{USAGE}}}\n\n'
    "data: [DONE]\n\n"
)
LINES = (
    '{"message":{"role":"assistant","content":"Because ","thinking":"Hm."},"done":false}\n'
    '{"message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"now","arguments":{"zone":"UTC"}}}]},'
    '"done":false}\n'
    '{"message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":9,"eval_count":4}\n'
)
ASKED: Mapping[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Why?"}]}


def answered(
    client: str, upstream: str, path: str, asked: bytes, answer: tuple[int, str, str]
) -> tuple[int, str, bytes]:
    """Status, content type and body of what the client gets."""
    translation = translator_between(client, upstream, Call(StillClock(), "r1"))
    try:
        sent = translation.begin(path, asked)
    except Untranslatable as problem:
        sent = translation.error(problem)
    if isinstance(sent, Answered):
        return sent.status, sent.content_type, sent.body
    status, content_type, body = answer
    head = translation.head(status, content_type)
    out = translation.feed(body.encode()) + translation.end()
    return translation.status, head.content_type, out


def ollama_client(status: int, content_type: str, body: str) -> ollama.Client:
    def handle(request: httpx.Request) -> httpx.Response:
        code, media, out = answered("ollama", "openai", request.url.path, request.read(), (status, content_type, body))
        return httpx.Response(code, headers={"content-type": media}, content=out)

    return ollama.Client(host="http://upstream.test", transport=httpx.MockTransport(handle))


def openai_client(status: int, content_type: str, body: str) -> openai.OpenAI:
    def handle(request: httpx2.Request) -> httpx2.Response:
        answer = (status, content_type, body)
        code, media, out = answered("openai", "ollama-native", request.url.path, request.read(), answer)
        return httpx2.Response(code, headers={"content-type": media}, content=out)

    transport = httpx2.MockTransport(handle)
    return openai.OpenAI(
        base_url="http://upstream.test/v1",
        api_key="none",
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    )


def test_ollamas_client_streams_a_chat() -> None:
    with ollama_client(200, "text/event-stream", CHUNKS) as client:
        parts = list(client.chat(**ASKED, stream=True))

    assert [part.message.content for part in parts] == ["Because ", "so.", ""]
    assert (parts[-1].done, parts[-1].done_reason) == (True, "stop")
    assert (parts[-1].prompt_eval_count, parts[-1].eval_count) == (9, 4)


def test_ollamas_client_calls_tools_and_sends_images() -> None:
    message = '{"tool_calls":[{"id":"a","function":{"name":"now","arguments":"{\\"zone\\":\\"UTC\\"}"}}]}'
    whole = f'{{"choices":[{{"index":0,"message":{message},"finish_reason":"tool_calls"}}],{USAGE}}}'

    def now(zone: str) -> str:
        """The time of day in a zone."""
        return zone

    image = ollama.Image(value=b"\x89PNG\r\n\x1a\nrest")
    with ollama_client(200, "application/json", whole) as client:
        messages = [ollama.Message(role="user", content="When?", images=[image])]
        answer = client.chat(model="m", messages=messages, tools=[now], options=ollama.Options(temperature=0.5))

    assert answer.message.tool_calls is not None
    assert answer.message.tool_calls[0].function.arguments == {"zone": "UTC"}


def test_ollamas_client_generates_and_embeds() -> None:
    with ollama_client(200, "text/event-stream", CHUNKS) as client:
        assert client.generate(model="m", prompt="Why?").response == "Because so."
        assert client.generate(model="m", keep_alive=0).done_reason == "unload"
    vectors = '{"data":[{"index":0,"embedding":[0.5,-0.25]}],"usage":{"prompt_tokens":2,"total_tokens":2}}'
    with ollama_client(200, "application/json", vectors) as client:
        assert client.embed(model="m", input="a").embeddings == [[0.5, -0.25]]
        assert client.embeddings(model="m", prompt="a").embedding == [0.5, -0.25]


@pytest.mark.parametrize(
    ("status", "content_type", "body", "told"),
    [
        pytest.param(429, "application/json", '{"error":{"message":"too fast"}}', ("too fast", 429), id="before"),
        pytest.param(200, "text/event-stream", 'data: {"error":{"message":"gone"}}\n\n', ("gone", -1), id="within"),
    ],
)
def test_ollamas_client_reads_errors(status: int, content_type: str, body: str, told: tuple[str, int]) -> None:
    with ollama_client(status, content_type, body) as client, pytest.raises(ollama.ResponseError) as raised:
        list(client.chat(**ASKED, stream=True))

    assert (raised.value.error, raised.value.status_code) == told


def test_openais_client_streams_a_chat_with_tools() -> None:
    with openai_client(200, "application/x-ndjson", LINES) as client:
        chunks = list(client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))

    said = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert said[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in said) == "Because "
    calls = [call for choice in said for call in choice.delta.tool_calls or ()]
    assert [(call.index, call.id, call.function.arguments) for call in calls if call.function] == [
        (0, "call_r1_0", '{"zone":"UTC"}')
    ]
    assert said[-1].finish_reason == "tool_calls"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 13


def test_openais_client_reads_a_whole_chat_and_a_completion() -> None:
    chat = '{"message":{"content":"Because."},"done":true,"done_reason":"length","prompt_eval_count":2,"eval_count":1}'
    with openai_client(200, "application/json", chat) as client:
        answer = client.chat.completions.create(**ASKED)
    with openai_client(200, "application/json", '{"response":"Because.","done":true}') as client:
        completion = client.completions.create(model="m", prompt="Why?")

    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Because.", "length")
    assert completion.choices[0].text == "Because."


def test_openais_client_reads_embeddings_that_it_asks_for_in_base64() -> None:
    with openai_client(200, "application/json", '{"embeddings":[[0.5,-0.25]],"prompt_eval_count":2}') as client:
        answer = client.embeddings.create(model="m", input="a")

    assert list(answer.data[0].embedding) == [0.5, -0.25]
    assert answer.usage.prompt_tokens == 2


def test_openais_client_reads_errors() -> None:
    with openai_client(404, "application/json", '{"error":"model not found"}') as client:
        with pytest.raises(openai.NotFoundError, match="model not found"):
            client.chat.completions.create(**ASKED)
        with pytest.raises(openai.BadRequestError, match="unsupported parameters: n") as refused:
            client.chat.completions.create(**ASKED, n=2)
    assert refused.value.param == "n"
    with (
        openai_client(200, "application/x-ndjson", '{"error":"gone"}\n') as client,
        pytest.raises(openai.APIError, match="gone"),
    ):
        list(client.chat.completions.create(**ASKED, stream=True))
