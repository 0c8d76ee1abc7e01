"""Answers of a model's server that are odd or ill-meant: what is counted of them, and what the client gets."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.recorder import Recorder, running_recorder

KEY = "sk-of-the-gateway-itself"
HELLO = [{"role": "user", "content": "hello"}]
CHAT, OLLAMA_CHAT = "/v1/chat/completions", "/api/chat"
TOLD, NOTHING = (70, 50), (0, 0)
MILLIARD = 1_000_000_000
USAGE = '"usage":{"prompt_tokens":70,"completion_tokens":50,"total_tokens":120}'
NO_USAGE = '"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}'
WORD = '{"choices":[{"index":0,"delta":{"content":"hello "},"finish_reason":null}]}'
LAST = f'{{"choices":[],{USAGE}}}'
# A text that looks like the end of the stream, and is a word of the model's.
SHAM = json.dumps({"choices": [{"index": 0, "delta": {"content": f'\n\ndata: {{{NO_USAGE},"choices":[]}}\n\n'}}]})
LINE = '{"message":{"role":"assistant","content":"hello "},"done":false}'
DONE = '{"message":{"role":"assistant","content":""},"done":true,"prompt_eval_count":70,"eval_count":50}'
SHAM_LINE = json.dumps(
    {"message": {"content": '"done":true,"eval_count":0}\n{"done":true,"eval_count":0}'}, "done": False}
)


@dataclass(frozen=True)
class Stage:
    """A gateway before a server that answers as it is told."""

    gateway: Gateway
    server: Recorder
    elsewhere: Recorder


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        server, elsewhere = (stack.enter_context(running_recorder()) for _ in range(2))
        credential = {"header": "authorization", "value": f"Bearer {KEY}"}
        config = {
            "upstreams": {
                "ollama": {"url": server.url, "api": "ollama", "health_check": "none"},
                "openai": {"url": f"{server.url}/v1", "api": "openai", "credential": credential,
                           "health_check": "none"},
            },
            "models": [
                {"name": "plain", "upstream": "ollama"},
                {"name": "reliable", "upstream": "ollama", "fallback": [{"upstream": "openai", "model": "m"}]},
                {"name": "hosted", "upstream": "openai"},
            ],
            "llm": {"auth": "none"},
        }  # fmt: skip
        yield Stage(stack.enter_context(running_gateway(config)), server, elsewhere)


def whole(body: str | bytes, kind: str = "application/json", *headers: str, status: str = "200 OK") -> bytes:
    """An answer that says how long it is, as few streams do."""
    data = body if isinstance(body, bytes) else body.encode()
    lines = (f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(data)}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def in_pieces(body: str, kind: str, size: int) -> bytes:
    data = body.encode()
    parts = (data[at : at + size] for at in range(0, len(data), size))
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return (
        f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        + chunks
        + b"0\r\n\r\n"
    )


def events(*data: str, end: str = "\n\n") -> str:
    return "".join(f"data: {item}{end}" for item in data)


def call(stage: Stage, answer: bytes, model: str, path: str, *, stream: bool) -> tuple[httpx.Response, tuple[int, int]]:
    """What the client gets, and the tokens that are counted of it."""
    stage.server.answer = answer
    with stage.gateway.client() as http:
        got = http.post(path, json={"model": model, "messages": HELLO, "stream": stream})
    row = stage.gateway.logged(got.headers["x-request-id"])
    return got, (row["tokens_in"], row["tokens_out"])


STREAM = "text/event-stream"
STREAMS = (
    pytest.param(whole(events(WORD, LAST, "[DONE]"), STREAM), TOLD, id="says how long it is"),
    pytest.param(whole(events(WORD, LAST), "Text/Event-Stream; charset=UTF-8"), TOLD, id="type in capitals"),
    pytest.param(in_pieces(events(WORD, LAST, "[DONE]"), STREAM, 1), TOLD, id="byte by byte"),
    pytest.param(in_pieces(events(WORD, LAST, end="\r\n\r\n"), STREAM, 3), TOLD, id="other ends of lines, in pieces"),
    pytest.param(whole(events(WORD, LAST).replace("data: ", "data:"), STREAM), TOLD, id="no space"),
    pytest.param(whole(f": hi\n\n{events(WORD)}: ho\n{events(LAST)}", STREAM), TOLD, id="comments"),
    pytest.param(whole(f"event: a\nid: 1\n{events(WORD)}event: b\n{events(LAST)}", STREAM), TOLD, id="named events"),
    pytest.param(whole(events(WORD) + events(LAST)[:-2], STREAM), TOLD, id="without its end"),
    pytest.param(whole(events(SHAM, LAST), STREAM), TOLD, id="a word that looks like a usage"),
    pytest.param(whole(events(SHAM), STREAM), NOTHING, id="nothing but a word that looks like a usage"),
    pytest.param(whole(events(f'{{"choices":[],{NO_USAGE}}}', WORD, LAST), STREAM), TOLD, id="told twice"),
    pytest.param(whole(events(f'{{"x":{{{USAGE}}},"choices":[]}}'), STREAM), NOTHING, id="at another place"),
    pytest.param(whole(events(LAST.replace("50", "1e12").replace("120", "0")), STREAM), (70, 0), id="beyond counting"),
    pytest.param(whole(events(LAST).replace("70", "-70").replace("50", "-5"), STREAM), NOTHING, id="below nothing"),
)


@pytest.mark.parametrize("model", ["plain", "reliable"])
@pytest.mark.parametrize(("answer", "counted"), STREAMS)
def test_a_stream_of_events(stage: Stage, answer: bytes, counted: tuple[int, int], model: str) -> None:
    got, tokens = call(stage, answer, model, CHAT, stream=True)

    assert (got.status_code, tokens) == (200, counted)
    assert USAGE not in got.text or counted == NOTHING


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_word_without_its_end_is_passed_on(stage: Stage, end: str, size: int) -> None:
    """What is kept back when a stream ends is lost."""
    got, tokens = call(stage, in_pieces(f"{events(WORD)}data: {WORD}{end}", STREAM, size), "plain", CHAT, stream=True)

    assert (got.text.count("hello"), tokens) == (2, NOTHING)


LINES = "application/x-ndjson"
STREAMS_OF_LINES = (
    pytest.param(whole(f"{LINE}\n{DONE}\n", LINES), TOLD, id="says how long it is"),
    pytest.param(whole(f"{LINE}\n{DONE}", "Application/X-NDJSON"), TOLD, id="type in capitals, no last end"),
    pytest.param(in_pieces(f"{LINE}\r\n{DONE}\r\n", LINES, 1), TOLD, id="byte by byte"),
    pytest.param(in_pieces(f"{SHAM_LINE}\n{DONE}\n", LINES, 5), TOLD, id="a word that looks like an end"),
    pytest.param(whole(f"{LINE}\n{SHAM_LINE}\n", LINES), NOTHING, id="nothing but a word that looks like an end"),
    pytest.param(whole(DONE.replace("50", str(MILLIARD + 1)), LINES), (70, 0), id="beyond counting"),
    pytest.param(whole(DONE.replace("50", "1" + "0" * 30).replace("70", "-1"), LINES), NOTHING, id="no numbers"),
)


@pytest.mark.parametrize("model", ["plain", "reliable"])
@pytest.mark.parametrize(("answer", "counted"), STREAMS_OF_LINES)
def test_a_stream_of_lines(stage: Stage, answer: bytes, counted: tuple[int, int], model: str) -> None:
    got, tokens = call(stage, answer, model, OLLAMA_CHAT, stream=True)

    assert (got.status_code, tokens) == (200, counted)


REDIRECT = "302 Found"


@pytest.mark.parametrize(("model", "path"), [("hosted", CHAT), ("hosted", OLLAMA_CHAT), ("reliable", CHAT)])
def test_no_redirect_is_followed(stage: Stage, model: str, path: str) -> None:
    """The provider's key would go wherever it leads."""
    answer = whole("{}", "application/json", f"location: {stage.elsewhere.url}/x", status=REDIRECT)

    got, _tokens = call(stage, answer, model, path, stream=False)

    assert got.status_code in (302, 502)
    assert stage.elsewhere.requests == []


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "500 Internal Server Error"])
def test_the_key_stands_in_no_log_and_no_answer(stage: Stage, status: str) -> None:
    """Of a server that says whether it was asked with the right one."""
    got, _tokens = call(stage, whole('{"error":{"message":"a bad key"}}', status=status), "hosted", CHAT, stream=False)

    assert stage.server.requests[-1].values(b"authorization") == [f"Bearer {KEY}".encode()]
    assert KEY not in f"{got.headers}{got.text}"
    for log in ("access", "envoy", "translator", "control_plane", "ledger", "ratelimit"):
        assert KEY not in stage.gateway.log(log)
