"""The stand-ins speak OpenAI's API as OpenAI's own client understands it, and Ollama's version of it."""

import base64
from collections.abc import Iterator

import openai
import pytest

from tests.support.llm.calls import Outcome
from tests.support.llm.catalog import GPT, LLAMA, vector
from tests.support.llm.clients import PLACE, TOOL, openai_async_client, openai_client
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import KEY, OpenAIServer
from tests.support.llm.script import Fault, Script, ToolUse, Usage
from tests.support.llm.tokens import call_tokens, prompt_tokens, words

Server = OpenAIServer | OllamaServer
MODEL = {OpenAIServer: GPT, OllamaServer: LLAMA}
EMBEDDER = {OpenAIServer: "text-embedding-3-small", OllamaServer: "nomic-embed-text"}
MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "how are you"}]
PROMPT = prompt_tokens(["be brief", "how are you"])
PARIS = {"city": "Paris", "days": [1, 2]}


@pytest.fixture(scope="module", params=[OpenAIServer, OllamaServer], ids=["openai", "ollama"])
def running(request: pytest.FixtureRequest) -> Iterator[Server]:
    with request.param() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.forget()
    return running


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai_client(server.url, KEY) as found:
        yield found


@pytest.fixture
def own() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def test_chat(server: Server, client: openai.OpenAI) -> None:
    server.plays(Script(text="I am well"))
    answer = client.chat.completions.create(model=MODEL[type(server)], messages=MESSAGES)
    assert answer.choices[0].message.content == "I am well"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (PROMPT, 3)
    assert answer.usage.total_tokens == PROMPT + 3


@pytest.mark.parametrize("asks", [False, True], ids=["no usage", "usage"])
def test_stream(server: Server, client: openai.OpenAI, *, asks: bool) -> None:
    server.plays(Script(text=words(8)))
    options = {"stream_options": {"include_usage": True}} if asks else {}
    stream = client.chat.completions.create(model=MODEL[type(server)], messages=MESSAGES, stream=True, **options)
    chunks = list(stream)
    said = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in said) == words(8)
    assert [choice.finish_reason for choice in said if choice.finish_reason] == ["stop"]
    told = [(chunk.usage.prompt_tokens, chunk.usage.completion_tokens) for chunk in chunks if chunk.usage]
    assert told == ([(PROMPT, 8)] if asks else [])
    (answer,) = server.settled()
    assert (answer.sent, answer.truth) == (8, Usage(PROMPT, 8))


async def test_asynchronous_stream(server: Server) -> None:
    server.plays(Script(text=words(8)))
    async with openai_async_client(server.url, KEY) as client:
        stream = await client.chat.completions.create(model=MODEL[type(server)], messages=MESSAGES, stream=True)
        said = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(said) == words(8)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tools(server: Server, client: openai.OpenAI, *, streamed: bool) -> None:
    server.plays(Script(calls=(ToolUse("weather", PARIS), ToolUse("weather", {"city": "Rome"}))))
    asked = {"model": MODEL[type(server)], "messages": MESSAGES, "tools": [TOOL]}
    if streamed:
        calls, finish = gathered(client, asked)
    else:
        choice = client.chat.completions.create(**asked).choices[0]
        calls = [(call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()]
        finish = choice.finish_reason
    assert finish == "tool_calls"
    assert [(name, arguments.replace(" ", "")) for name, arguments in calls] == [
        ("weather", '{"city":"Paris","days":[1,2]}'),
        ("weather", '{"city":"Rome"}'),
    ]
    (answer,) = server.settled()
    assert answer.sent == call_tokens(PARIS) + call_tokens({"city": "Rome"})


def gathered(client: openai.OpenAI, asked: dict) -> tuple[list[tuple[str, str]], str]:
    """The calls of a stream, put together as its indexes say."""
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    finish = ""
    for chunk in client.chat.completions.create(**asked, stream=True):
        (choice,) = chunk.choices
        finish = choice.finish_reason or finish
        for call in choice.delta.tool_calls or ():
            names[call.index] = names.get(call.index, "") + (call.function.name or "")
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    return [(names[index], arguments[index]) for index in sorted(names)], finish


@pytest.mark.parametrize(
    ("response_format", "text"),
    [
        ({"type": "json_object"}, '{"said": "how are you"}'),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": PLACE}},
         '{"city": "word"}'),
    ],
    ids=["object", "schema"],
)  # fmt: skip
def test_a_format(server: Server, client: openai.OpenAI, response_format: dict, text: str) -> None:
    answer = client.chat.completions.create(
        model=MODEL[type(server)], messages=MESSAGES, response_format=response_format
    )
    assert answer.choices[0].message.content == text


def test_a_limit(server: Server, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL[type(server)], messages=MESSAGES, max_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.content == "You said: "


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_completion(server: Server, client: openai.OpenAI, *, streamed: bool) -> None:
    server.plays(Script(text=words(4)))
    model = "gpt-3.5-turbo-instruct" if isinstance(server, OpenAIServer) else LLAMA
    answer = client.completions.create(model=model, prompt="once upon", stream=streamed)
    texts = [chunk.choices[0].text for chunk in answer] if streamed else [answer.choices[0].text]
    assert "".join(texts) == words(4)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings(server: Server, client: openai.OpenAI, encoding: str) -> None:
    model = EMBEDDER[type(server)]
    answer = client.embeddings.create(model=model, input=["one two", "three"], encoding_format=encoding)
    if encoding == "float":
        assert answer.data[1].embedding == pytest.approx(vector("three"))
    else:
        assert len(base64.b64decode(answer.data[1].embedding)) == 4 * len(vector("three"))
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (3, 3)


def test_embeddings_as_the_client_asks_for_them(server: Server, client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model=EMBEDDER[type(server)], input="three", dimensions=4)
    assert answer.data[0].embedding == pytest.approx(vector("three", 4), abs=1e-6)


def test_models(server: Server, client: openai.OpenAI) -> None:
    listed = [model.id for model in client.models.list()]
    assert listed == [model.name for model in server.models]
    assert client.models.retrieve(listed[0]).id == listed[0]


def test_an_unknown_model(server: Server, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="nobody", messages=MESSAGES)
    assert raised.value.code == ("model_not_found" if isinstance(server, OpenAIServer) else None)
    assert server.settled()[0].outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, openai.RateLimitError), (500, openai.InternalServerError), (400, openai.BadRequestError)],
)
def test_errors(server: Server, client: openai.OpenAI, status: int, error: type[openai.APIStatusError]) -> None:
    server.plays(Script(fault=Fault(status, "no", headers={"retry-after": "3"})))
    with pytest.raises(error) as raised:
        client.chat.completions.create(model=MODEL[type(server)], messages=MESSAGES)
    assert raised.value.response.headers["retry-after"] == "3"


def test_a_cut_stream(server: Server, client: openai.OpenAI) -> None:
    server.plays(Script(text=words(8), cut=3))
    stream = client.chat.completions.create(model=MODEL[type(server)], messages=MESSAGES, stream=True)
    with pytest.raises(openai.APIConnectionError):
        list(stream)
    assert server.settled()[0].sent == 3


@pytest.mark.parametrize("key", ["sk-other", "Bearer"])
def test_a_wrong_key(own: OpenAIServer, key: str) -> None:
    with openai_client(own.url, key) as client, pytest.raises(openai.AuthenticationError) as raised:
        client.models.list()
    assert raised.value.code == "invalid_api_key"


def test_several_choices(own: OpenAIServer) -> None:
    own.plays(Script(text=words(5)), Script(text=words(5)))
    asked = {"model": GPT, "messages": MESSAGES, "n": 3}
    with openai_client(own.url, KEY) as client:
        answer = client.chat.completions.create(**asked)
        chunks = list(client.chat.completions.create(**asked, stream=True))
    assert [choice.message.content for choice in answer.choices] == [words(5)] * 3
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 15
    third = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices[0].index == 2]
    assert "".join(third) == words(5)
    assert [answer.sent for answer in own.settled(2)] == [15, 15]


def test_details_of_usage(own: OpenAIServer) -> None:
    own.plays(Script(text=words(5), thinking=words(7), cached=4))
    with openai_client(own.url, KEY) as client:
        answer = client.chat.completions.create(model="o4-mini", messages=MESSAGES, max_completion_tokens=10)
    usage = answer.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert (usage.completion_tokens, usage.completion_tokens_details.reasoning_tokens) == (10, 7)
    assert usage.prompt_tokens_details.cached_tokens == 4
    assert answer.choices[0].finish_reason == "length"
    (told,) = own.settled()
    assert (told.sent, told.made) == (3, 10)


def test_a_tool_that_has_to_be_called(own: OpenAIServer) -> None:
    asked = {"model": GPT, "messages": MESSAGES, "tools": [TOOL]}
    with openai_client(own.url, KEY) as client:
        answer = client.chat.completions.create(**asked, tool_choice="required")
    calls = answer.choices[0].message.tool_calls or ()
    assert [(call.function.name, call.function.arguments) for call in calls] == [("weather", '{"city": "word"}')]
