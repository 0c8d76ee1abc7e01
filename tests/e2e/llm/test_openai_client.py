"""OpenAI's own client through the gateway: whatever it can do, with every kind of backend behind it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest

from tests.support.llm.backends import (
    BACKENDS,
    EMBEDDING,
    FAR,
    NEAR,
    OWN,
    SEEING,
    THINKING,
    WRITING,
    Backends,
)
from tests.support.llm.calls import Outcome
from tests.support.llm.catalog import vector
from tests.support.llm.clients import HELLO, PLACE, TOOL, openai_async_client, openai_client
from tests.support.llm.gateway import POOR, RICH
from tests.support.llm.script import Fault, Script, ToolUse
from tests.support.llm.tokens import prompt_tokens, words

PROMPT = prompt_tokens(["hello there"])
PARIS, ROME = {"city": "Paris", "days": [1, 2]}, {"city": "Rome"}
# As base64, with what stands around it, a little below the 8 MiB that a body may have.
IMAGE = base64.b64encode(bytes(range(256)) * 24_000).decode()
ENDLESS = Script(text=words(2000), pace=0.05)
pytestmark = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture
def client(backends: Backends) -> Iterator[openai.OpenAI]:
    with openai_client(backends.gateway.url) as found:
        yield found


@pytest.fixture
async def calling(backends: Backends) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai_async_client(backends.gateway.url) as found:
        yield found


def test_chat(backends: Backends, client: openai.OpenAI, backend: str) -> None:
    backends.server(backend).plays(Script(text="I am well"))

    answer = client.chat.completions.create(model=backend, messages=HELLO)

    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "I am well", "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (PROMPT, 3)


async def test_chat_asynchronously(calling: openai.AsyncOpenAI, backend: str) -> None:
    """Several at once, on the connections that the client keeps."""
    asked = (calling.chat.completions.create(model=backend, messages=HELLO) for _ in range(8))

    answers = await asyncio.gather(*asked)

    assert {answer.choices[0].message.content for answer in answers} == {"You said: hello there"}


@pytest.mark.parametrize("asks", [False, True], ids=["no-usage", "usage"])
def test_a_stream(backends: Backends, client: openai.OpenAI, backend: str, *, asks: bool) -> None:
    backends.server(backend).plays(Script(text=words(12)))
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if asks else {}

    chunks = list(client.chat.completions.create(model=backend, messages=HELLO, stream=True, **options))

    said = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in said) == words(12)
    assert [choice.finish_reason for choice in said if choice.finish_reason] == ["stop"]
    told = [(chunk.usage.prompt_tokens, chunk.usage.completion_tokens) for chunk in chunks if chunk.usage]
    assert told == ([(PROMPT, 12)] if asks else [])


async def test_a_stream_asynchronously(backends: Backends, calling: openai.AsyncOpenAI, backend: str) -> None:
    backends.server(backend).plays(Script(text=words(12)))

    stream = await calling.chat.completions.create(model=backend, messages=HELLO, stream=True)

    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == words(12)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tools(backends: Backends, client: openai.OpenAI, backend: str, *, streamed: bool) -> None:
    backends.server(backend).plays(Script(calls=(ToolUse("weather", PARIS), ToolUse("weather", ROME))))

    if streamed:
        with client.chat.completions.stream(model=backend, messages=HELLO, tools=[TOOL]) as stream:
            choice = stream.until_done().get_final_completion().choices[0]
    else:
        choice = client.chat.completions.create(model=backend, messages=HELLO, tools=[TOOL]).choices[0]

    calls = choice.message.tool_calls or []
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        ("weather", PARIS),
        ("weather", ROME),
    ]
    assert len({call.id for call in calls}) == 2
    assert choice.finish_reason == "tool_calls"


def test_what_a_tool_said_goes_back(backends: Backends, client: openai.OpenAI, backend: str) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": json.dumps(ROME)}}
    talk = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]

    answer = client.chat.completions.create(model=backend, messages=talk, tools=[TOOL])

    assert answer.choices[0].message.content == "You said: sunny"
    asked, told = backends.server(backend).calls[-1].body["messages"][-2:]
    arguments = asked["tool_calls"][0]["function"]["arguments"]
    assert (json.loads(arguments) if isinstance(arguments, str) else arguments) == ROME
    assert (told["role"], told["content"]) == ("tool", "sunny")


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        pytest.param({"type": "json_object"}, '{"said": "hello there"}', id="object"),
        pytest.param(
            {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}},
            '{"city": "word"}',
            id="schema",
        ),
    ],
)
def test_json(client: openai.OpenAI, backend: str, wanted: Any, text: str) -> None:
    answer = client.chat.completions.create(model=backend, messages=HELLO, response_format=wanted)

    assert answer.choices[0].message.content == text


def test_an_image_of_eight_megabytes(backends: Backends, client: openai.OpenAI, backend: str) -> None:
    shown = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}
    content = [{"type": "text", "text": "what is this"}, shown]

    answer = client.chat.completions.create(model=f"{backend}{SEEING}", messages=[{"role": "user", "content": content}])

    assert answer.choices[0].message.content == "You said: what is this"
    (call,) = backends.server(backend).calls
    assert call.images == 1
    assert IMAGE in call.raw.decode()


def test_a_limit(client: openai.OpenAI, backend: str) -> None:
    answer = client.chat.completions.create(model=backend, messages=HELLO, max_completion_tokens=2)

    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("You said: ", "length")


@pytest.mark.parametrize("use", ["", THINKING], ids=["older", "thinking"])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", None])
def test_the_length_of_an_answer(
    backends: Backends, client: openai.OpenAI, backend: str, use: str, name: str | None
) -> None:
    """By whichever name a client bounds it. OpenAI takes one of them alone, and its models that think the newer one."""
    said: dict[str, Any] = {} if name is None else {name: 90}
    asked = {"model": f"{backend}{use}", "messages": HELLO, **said}

    if (backend, use, name) == (FAR, THINKING, "max_tokens"):
        with pytest.raises(openai.BadRequestError, match="max_tokens"):
            client.chat.completions.create(**asked)
        return

    assert client.chat.completions.create(**asked).choices[0].message.content == "You said: hello there"
    body = backends.server(backend).calls[-1].body
    bounds = {key: body[key] for key in ("max_tokens", "max_completion_tokens") if key in body}
    if backend == FAR:
        assert len(bounds) == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_text(backends: Backends, client: openai.OpenAI, backend: str, *, streamed: bool) -> None:
    backends.server(backend).plays(Script(text=words(6)))

    answer = client.completions.create(model=f"{backend}{WRITING}", prompt="once", max_tokens=9, stream=streamed)

    chunks = list(answer) if streamed else [answer]
    assert "".join(chunk.choices[0].text for chunk in chunks) == words(6)


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_vectors(client: openai.OpenAI, backend: str, encoding: Any) -> None:
    """The client itself asks for base64, and makes numbers of it, where nothing is said."""
    said = {} if encoding is None else {"encoding_format": encoding}

    answer = client.embeddings.create(model=f"{backend}{EMBEDDING}", input=["one two", "three"], **said)

    assert [item.index for item in answer.data] == [0, 1]
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (3, 3)
    if encoding != "base64":
        assert answer.data[1].embedding == pytest.approx(vector("three"), abs=1e-6)


def test_models(client: openai.OpenAI, backend: str) -> None:
    assert backend in [model.id for model in client.models.list()]
    assert client.models.retrieve(backend).id == backend


async def test_models_asynchronously(calling: openai.AsyncOpenAI, backend: str) -> None:
    assert backend in [model.id async for model in calling.models.list()]
    assert (await calling.models.retrieve(f"{backend}{SEEING}")).id == f"{backend}{SEEING}"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("status", "error"),
    [(400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.InternalServerError)],
)
def test_errors_of_the_backend(
    backends: Backends,
    client: openai.OpenAI,
    backend: str,
    status: int,
    error: type[openai.APIStatusError],
    *,
    streamed: bool,
) -> None:
    backends.server(backend).plays(Script(fault=Fault(status, "not today", headers={"retry-after": "3"})))

    with pytest.raises(error, match="not today") as raised:
        client.chat.completions.create(model=backend, messages=HELLO, stream=streamed)

    assert raised.value.response.headers["retry-after"] == "3"


@pytest.mark.parametrize(
    ("token", "model", "error", "code"),
    [
        pytest.param("nobodys", "{}", openai.AuthenticationError, "unknown_token", id="401"),
        pytest.param(POOR, "{}", openai.PermissionDeniedError, "model_not_allowed", id="403"),
        pytest.param(RICH, "not-{}", openai.NotFoundError, "model_not_found", id="404"),
    ],
)
def test_errors_of_the_gateway(
    backends: Backends, backend: str, token: str, model: str, error: type[openai.APIStatusError], code: str
) -> None:
    with openai_client(backends.gateway.url, token) as client, pytest.raises(error) as raised:
        client.chat.completions.create(model=model.format(backend), messages=HELLO)

    assert raised.value.code == code
    assert raised.value.request_id == raised.value.body["request_id"]  # type: ignore[index] # the error's object


def test_a_stream_that_is_closed(backends: Backends, client: openai.OpenAI, backend: str) -> None:
    backends.server(backend).plays(ENDLESS)
    stream = client.chat.completions.create(model=backend, messages=HELLO, stream=True)

    next(iter(stream))
    stream.close()

    assert backends.server(backend).settled()[0].outcome is Outcome.LEFT


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_a_call_that_is_cancelled(
    backends: Backends, calling: openai.AsyncOpenAI, backend: str, *, streamed: bool
) -> None:
    backends.server(backend).plays(ENDLESS)

    async def call() -> None:
        answer = await calling.chat.completions.create(model=backend, messages=HELLO, stream=streamed)
        async for _ in answer:  # type: ignore[union-attr] # a whole one does not come
            pass

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(), 1)

    answers = await asyncio.to_thread(backends.server(backend).settled)
    assert [answer.outcome for answer in answers] == [Outcome.LEFT]


@pytest.mark.parametrize("at", [1, 5])
def test_a_backend_that_breaks_off(backends: Backends, client: openai.OpenAI, backend: str, at: int) -> None:
    """No half answer is taken for a whole one."""
    backends.server(backend).plays(Script(text=words(20), cut=at, pace=0.01))

    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model=backend, messages=HELLO, stream=True))


def test_who_is_asked_and_how(backends: Backends, client: openai.OpenAI, backend: str) -> None:
    client.chat.completions.create(model=backend, messages=HELLO)

    (call,) = backends.server(backend).calls
    assert call.path == {NEAR: "/v1/chat/completions", OWN: "/api/chat", FAR: "/v1/chat/completions"}[backend]
