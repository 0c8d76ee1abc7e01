"""However the bytes of an answer are split, the client gets the same; and no bytes make a translator raise."""

import itertools
import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_providers.translation import Call, Translator
from tests.support.clock import StillClock
from tests.support.translators import translator_between

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
GENERATE = {"model": "m", "prompt": "hi"}
EMBED = {"model": "m", "input": "hi"}
# client, upstream, path, body, content type of the answer
CALLS = [
    pytest.param("ollama", "openai", "/api/chat", CHAT, "text/event-stream", id="ollama chat over openai"),
    pytest.param("ollama", "openai", "/api/generate", GENERATE, "text/event-stream", id="ollama generate over openai"),
    pytest.param("ollama", "openai", "/api/chat", CHAT, "application/json", id="whole openai"),
    pytest.param("ollama", "openai", "/api/embed", EMBED, "application/json", id="openai embeddings"),
    pytest.param(
        "openai",
        "ollama-native",
        "/v1/chat/completions",
        {**CHAT, "stream": True},
        "application/x-ndjson",
        id="openai chat over ollama",
    ),
    pytest.param("openai", "ollama-native", "/v1/chat/completions", CHAT, "application/json", id="whole ollama"),
    pytest.param("openai", "ollama-native", "/v1/completions", GENERATE, "application/x-ndjson", id="completion"),
    pytest.param("openai", "ollama-native", "/v1/embeddings", EMBED, "application/json", id="ollama embeddings"),
    pytest.param("ollama", "ollama-native", "/api/chat", CHAT, "application/x-ndjson", id="there and back"),
]

values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("stop")
names = st.sampled_from([
    "choices", "delta", "message", "content", "text", "tool_calls", "function", "name", "arguments", "index", "id",
    "finish_reason", "usage", "prompt_tokens", "error", "done", "done_reason", "response", "thinking", "reasoning",
    "data", "embedding", "embeddings", "prompt_eval_count", "refusal",
])  # fmt: skip
trees = st.recursive(values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner), max_leaves=12)
openai_chunks = st.builds(
    lambda text, thinking, finish, usage: {
        "choices": [{"index": 0, "delta": {"content": text, "reasoning": thinking}, "finish_reason": finish}],
        "usage": usage,
    },
    st.text(max_size=8),
    st.none() | st.text(max_size=8),
    st.sampled_from([None, None, None, "stop", "length"]),
    st.sampled_from([None, {"prompt_tokens": 1, "completion_tokens": 2}]),
)
ollama_lines = st.builds(
    lambda text, done: {"message": {"content": text}, "response": text, "done": done, "done_reason": "stop"},
    st.text(max_size=8),
    st.sampled_from([False, False, False, True]),
)
said = st.lists(openai_chunks | ollama_lines | trees, max_size=6)
framed = st.sampled_from([("data: ", "\n\n"), ("data:", "\r\n\r\n"), ("", "\n"), ("", "")])


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    before, behind = draw(framed)
    items = [f"{before}{json.dumps(item)}{behind}" for item in draw(said)]
    last = draw(st.sampled_from(["", f"{before}[DONE]{behind}", "{", "\udcff"]))
    return "".join([*items, last]).encode(errors="surrogateescape")


@pytest.mark.parametrize(("client", "upstream", "path", "body", "content_type"), CALLS)
@settings(max_examples=60, deadline=None)
@given(answer=answers() | st.binary(max_size=40), cuts=st.lists(st.integers(min_value=0, max_value=400), max_size=8))
def test_any_split_of_any_answer_is_told_alike(
    client: str, upstream: str, path: str, body: object, content_type: str, answer: bytes, cuts: Sequence[int]
) -> None:
    at_once = told(begun(client, upstream, path, body), content_type, [answer])
    edges = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    parts = [answer[start:end] for start, end in itertools.pairwise(edges)]

    assert told(begun(client, upstream, path, body), content_type, parts) == at_once


@pytest.mark.parametrize(("client", "upstream", "path", "body", "content_type"), CALLS)
@settings(max_examples=60, deadline=None)
@given(status=st.integers(min_value=100, max_value=599), media=st.text(max_size=20), answer=st.binary(max_size=40))
def test_any_head_is_answered(
    client: str, upstream: str, path: str, body: object, content_type: str, status: int, media: str, answer: bytes
) -> None:
    code, _, out = told(begun(client, upstream, path, body), media, [answer], status)

    assert code == 200 or json.loads(out)["error"]


def begun(client: str, upstream: str, path: str, body: object) -> Translator:
    translation = translator_between(client, upstream, Call(StillClock(), "r1"))
    translation.begin(path, json.dumps(body).encode())
    return translation


def told(
    translation: Translator, content_type: str, parts: Sequence[bytes], status: int = 200
) -> tuple[int, str, bytes]:
    head = translation.head(status, content_type)
    out = b"".join([*(translation.feed(part) for part in parts), translation.end()])
    return translation.status, head.content_type, out
