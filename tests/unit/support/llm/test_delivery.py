"""A stand-in follows its scripts, and what it wrote down is what went over the wire."""

import json
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.support.eventually import until
from tests.support.llm.calls import Outcome
from tests.support.llm.catalog import Model
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import KEY, OpenAIServer
from tests.support.llm.script import BEFORE_HEAD, Fault, Script, Usage
from tests.support.llm.tokens import prompt_tokens, tokens_of, words

TEXT = words(20)
CHAT = {"model": "llama3.1:8b", "messages": [{"role": "user", "content": "one two three"}]}
PROMPT = prompt_tokens(["one two three"])


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        yield server


@pytest.fixture
def client(ollama: OllamaServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=ollama.url, timeout=20) as client:
        yield client


def lines(response: httpx.Response) -> list[dict]:
    return [json.loads(line) for line in response.iter_lines()]


@pytest.mark.parametrize("text", ["", "a", "a b", "  a  b\n\nc ", '{"a": [1, 2]}', "\n", words(7)])
def test_tokens_are_the_text(text: str) -> None:
    assert "".join(tokens_of(text)) == text


def test_words_are_so_many_tokens() -> None:
    assert len(tokens_of(words(20))) == 20


def test_counts_are_what_a_test_expects(ollama: OllamaServer, client: httpx.Client) -> None:
    ollama.plays(Script(text=TEXT))
    last = lines(client.post("/api/chat", json=CHAT))[-1]
    (answer,) = ollama.settled()
    assert (last["prompt_eval_count"], last["eval_count"], last["done_reason"]) == (PROMPT, 20, "stop")
    assert answer.truth == answer.told == Usage(PROMPT, 20)
    assert (answer.sent, answer.made, answer.outcome) == (20, 20, Outcome.COMPLETE)


def test_a_request_is_written_down(ollama: OllamaServer, client: httpx.Client) -> None:
    client.post("/api/chat?a=b", json={**CHAT, "stream": False}, headers={"X-One": "1"})
    (call,) = ollama.calls
    assert (call.method, call.path, call.query, call.model) == ("POST", "/api/chat", "a=b", "llama3.1:8b")
    assert call.headers["x-one"] == "1"
    assert call.body == {**CHAT, "stream": False}
    assert not call.answer.streamed


def test_scripts_are_chosen_by_header_path_queue_and_model(ollama: OllamaServer, client: httpx.Client) -> None:
    ollama.plays_always(Script(text="by default"))
    ollama.plays_always(Script(text="by model"), model="qwen3:8b")
    ollama.plays_always(Script(text="by name"), name="named")
    ollama.plays_always(Script(text="by path"), path="/api/generate")
    ollama.plays(Script(text="first"), Script(text="second"))

    def said(model: str = "llama3.1:8b", **headers: str) -> str:
        body = {**CHAT, "model": model, "stream": False}
        return client.post("/api/chat", json=body, headers=headers).json()["message"]["content"]

    generated = client.post("/api/generate", json={"model": "qwen3:8b", "prompt": "x", "stream": False}).json()
    assert generated["response"] == "by path"
    assert said(**{"x-script": "named"}) == "by name"
    assert [said(), said("qwen3:8b"), said("qwen3:8b"), said()] == ["first", "second", "by model", "by default"]


def test_gates_hold_the_head_and_a_token(ollama: OllamaServer, client: httpx.Client) -> None:
    before, third = threading.Event(), threading.Event()
    ollama.plays(Script(text=TEXT, gate=before, gates={3: third}))
    threading.Timer(0.05, before.set).start()
    with client.stream("POST", "/api/chat", json=CHAT) as response:
        assert before.is_set()
        arriving = response.iter_lines()
        assert [json.loads(next(arriving))["message"]["content"] for _ in range(3)] == ["word1 ", "word2 ", "word3 "]
        until(lambda: ollama.answers[0].sent == 3, seconds=10)
        third.set()
        assert len(list(arriving)) == 18


def test_who_leaves_is_seen_with_what_was_sent_by_then(ollama: OllamaServer, client: httpx.Client) -> None:
    gate = threading.Event()
    ollama.plays(Script(text=TEXT, gates={5: gate}))
    with client.stream("POST", "/api/chat", json=CHAT) as response:
        arriving = response.iter_lines()
        for _ in range(5):
            next(arriving)
    (answer,) = ollama.settled()
    assert answer.client_left
    assert answer.sent == 5


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_who_leaves_before_the_first_byte_is_seen(ollama: OllamaServer, client: httpx.Client, *, stream: bool) -> None:
    ollama.plays(Script(gate=threading.Event()))
    with pytest.raises(httpx.ReadTimeout):
        client.post("/api/chat", json={**CHAT, "stream": stream}, timeout=0.2)
    (answer,) = ollama.settled()
    assert answer.client_left
    assert (answer.status, answer.sent) == (None, 0)


def test_who_leaves_in_the_middle_of_a_request_is_seen(ollama: OllamaServer) -> None:
    with socket.create_connection(("127.0.0.1", ollama.port)) as leaving:
        leaving.sendall(b"POST /api/chat HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        until(lambda: ollama.calls, seconds=10)
    until(lambda: ollama.calls[0].answer.client_left, seconds=10)


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_a_connection_is_cut_in_the_middle(ollama: OllamaServer, client: httpx.Client, *, reset: bool) -> None:
    ollama.plays(Script(text=TEXT, cut=4, reset=reset))
    forwarded = {"x-forwarded-for": "203.0.113.9"}  # whose connection it is all the same
    with client.stream("POST", "/api/chat", json=CHAT, headers=forwarded) as response:
        arriving = response.iter_lines()
        assert [json.loads(next(arriving))["done"] for _ in range(4)] == [False] * 4
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            next(arriving)
    (answer,) = ollama.settled()
    assert (answer.outcome, answer.sent) == (Outcome.CUT, 4)


@pytest.mark.parametrize("cut", [BEFORE_HEAD, 0, 3], ids=["before the head", "at once", "half"])
def test_a_whole_answer_is_cut(ollama: OllamaServer, client: httpx.Client, cut: int) -> None:
    ollama.plays(Script(text=TEXT, cut=cut))
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/api/chat", json={**CHAT, "stream": False})
    assert ollama.settled()[0].status == (None if cut == BEFORE_HEAD else 200)


def test_an_error_in_the_stream_ends_it(ollama: OllamaServer, client: httpx.Client) -> None:
    ollama.plays(Script(text=TEXT, breaks=2), Script(breaks=2))
    told = lines(client.post("/api/chat", json=CHAT))
    whole = client.post("/api/chat", json={**CHAT, "stream": False})
    assert [list(line) for line in told[-2:]] == [["model", "created_at", "message", "done"], ["error"]]
    assert (whole.status_code, list(whole.json())) == (500, ["error"])
    assert [answer.outcome for answer in ollama.settled(2)] == [Outcome.BROKEN] * 2


def test_usage_is_told_wrongly_or_not_at_all(ollama: OllamaServer, client: httpx.Client) -> None:
    ollama.plays(Script(text=TEXT, usage=Usage(1, 2)), Script(text=TEXT, untold=True))
    wrong, untold = (client.post("/api/chat", json={**CHAT, "stream": False}).json() for _ in range(2))
    assert (wrong["prompt_eval_count"], wrong["eval_count"]) == (1, 2)
    assert untold["done"]
    assert {"prompt_eval_count", "eval_count"}.isdisjoint(untold)
    assert [answer.truth for answer in ollama.settled(2)] == [Usage(PROMPT, 20)] * 2
    assert [answer.told for answer in ollama.answers] == [Usage(1, 2), None]


def test_an_error_has_the_shape_of_its_api_and_its_headers() -> None:
    fault = Fault(429, "slow down", headers={"retry-after": "7"})
    with OllamaServer() as ollama, OpenAIServer() as openai:
        for server in (ollama, openai):
            server.plays(Script(fault=fault), Script(fault=fault))
        said = {"messages": CHAT["messages"]}
        native = httpx.post(f"{ollama.url}/api/chat", json=CHAT)
        compatible = httpx.post(f"{ollama.url}/v1/chat/completions", json=CHAT)
        key = {"authorization": f"Bearer {KEY}"}
        own = httpx.post(f"{openai.url}/v1/chat/completions", json={**said, "model": "gpt-4o-mini"}, headers=key)
        assert openai.settled()[0].outcome is Outcome.REFUSED
    answers = (native, compatible, own)
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(429, "7")] * 3
    assert native.json() == {"error": "slow down"}
    error = {"message": "slow down", "param": None}
    assert compatible.json() == {"error": {**error, "type": "api_error", "code": None}}
    assert own.json() == {"error": {**error, "type": "requests", "code": "rate_limit_exceeded"}}


def test_a_listing_can_fail_too(ollama: OllamaServer, client: httpx.Client) -> None:
    ollama.plays_always(Script(fault=Fault(500)), path="/api/tags")
    assert client.get("/api/tags").status_code == 500
    assert client.get("/v1/models").status_code == 200
    assert ollama.answers == []


def test_what_is_not_there_is_written_down_too(ollama: OllamaServer, client: httpx.Client) -> None:
    assert client.get("/api/nothing").text == "404 page not found"
    assert [call.path for call in ollama.calls] == ["/api/nothing"]
    assert ollama.answers == []


def test_models_come_and_go(ollama: OllamaServer, client: httpx.Client) -> None:
    def names() -> set[str]:
        return {model["name"] for model in client.get("/api/tags").json()["models"]}

    before = names()
    ollama.add(Model("new:1b"))
    assert names() == {*before, "new:1b"}
    ollama.remove("llama3.1:8b")
    assert names() == {*before, "new:1b"} - {"llama3.1:8b"}
    answer = client.post("/api/chat", json=CHAT)
    assert (answer.status_code, answer.json()) == (404, {"error": "model 'llama3.1:8b' not found"})


def test_a_server_stops_in_the_middle_and_starts_on_the_same_port(ollama: OllamaServer) -> None:
    ollama.plays(Script(text=TEXT, gates={2: threading.Event()}))
    with httpx.stream("POST", f"{ollama.url}/api/chat", json=CHAT) as response:
        arriving = response.iter_lines()
        next(arriving), next(arriving)
        ollama.stop()
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            next(arriving)
    assert ollama.settled()[0].sent == 2
    with pytest.raises(httpx.ConnectError):
        httpx.get(ollama.url)
    ollama.start()
    assert httpx.get(ollama.url).text == "Ollama is running"


def test_a_limit_cuts_an_answer_off(ollama: OllamaServer, client: httpx.Client) -> None:
    body = {**CHAT, "stream": False, "options": {"num_predict": 5}}
    ollama.plays(Script(text=TEXT))
    answer = client.post("/api/chat", json=body).json()
    assert (answer["eval_count"], answer["done_reason"]) == (5, "length")
    assert answer["message"]["content"] == "word1 word2 word3 word4 word5 "
