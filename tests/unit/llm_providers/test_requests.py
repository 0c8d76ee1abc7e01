"""Requests: what is taken, dropped, refused; and that a request is sent, answered or refused, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_providers.asked import Untranslatable
from llm_providers.translation import Answered, Call, Sent
from tests.support.clock import StillClock
from tests.support.translators import translator_between

OLLAMA = ("ollama", "openai", "/api/chat")
OPENAI = ("openai", "ollama-native", "/v1/chat/completions")
PATHS = [
    *(("ollama", "openai", f"/api/{name}") for name in ("chat", "generate", "embed", "embeddings")),
    *(("openai", "ollama-native", f"/v1/{name}") for name in ("chat/completions", "completions", "embeddings")),
]
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def sent(way: tuple[str, str, str], body: object, *, drop: bool = False) -> dict[str, Any]:
    client, upstream, path = way
    begun = translator_between(client, upstream, Call(StillClock(), "r1", drop_unsupported=drop)).begin(
        path, json.dumps(body).encode()
    )
    assert isinstance(begun, Sent)
    read: dict[str, Any] = json.loads(begun.body)
    return read


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"temperature": 0, "top_p": 0.5}, {"temperature": 0, "top_p": 0.5}),
        ({"num_predict": -1}, {}),
        ({"num_predict": -2}, {}),
        ({"num_predict": 128.0}, {"max_tokens": 128}),
        ({"stop": "end"}, {"stop": ["end"]}),
        ({"stop": []}, {}),
        ({"seed": None}, {}),
        ({"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0, "typical_p": 1, "mirostat": 0, "repeat_last_n": 0}, {}),
        ({"num_ctx": 8192, "num_keep": 4, "num_gpu": 99, "num_thread": 8, "use_mmap": True, "num_batch": 512}, {}),
    ],
)
def test_ollamas_options(options: object, parameters: dict[str, object]) -> None:
    streamed = {"stream": True, "stream_options": {"include_usage": True}}

    assert sent(OLLAMA, {**CHAT, "options": options}) == {**CHAT, **parameters, **streamed}


@pytest.mark.parametrize(
    "name", ["top_k", "min_p", "typical_p", "repeat_penalty", "repeat_last_n", "mirostat_eta", "x"]
)
def test_ollamas_options_that_cannot_be_honoured(name: str) -> None:
    body = {**CHAT, "options": {name: 0.9}}

    with pytest.raises(Untranslatable, match=f"unsupported parameters: options.{name}"):
        sent(OLLAMA, body)
    assert sent(OLLAMA, body, drop=True) == sent(OLLAMA, CHAT)


@pytest.mark.parametrize(
    ("think", "effort"),
    [(True, "medium"), (False, "none"), ("low", "low"), ("high", "high"), ("max", "xhigh")],
)
def test_think_is_an_effort(think: object, effort: str) -> None:
    assert sent(OLLAMA, {**CHAT, "think": think})["reasoning_effort"] == effort


@pytest.mark.parametrize(
    ("effort", "think"),
    [("none", False), ("minimal", "low"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("xhigh", "max")],
)
def test_an_effort_is_thinking(effort: str, think: object) -> None:
    assert sent(OPENAI, {**CHAT, "reasoning_effort": effort})["think"] == think


@pytest.mark.parametrize(
    ("keep_alive", "reason"),
    [(None, "load"), (0, "unload"), (0.0, "unload"), ("0", "unload"), ("0s", "unload"), ("0h0m", "unload"),
     ("5m", "load"), (-1, "load"), ("10s", "load"), ("1h0m", "load"), ("-1", "load")],
)  # fmt: skip
def test_a_request_for_no_words_loads_or_unloads(keep_alive: object, reason: str) -> None:
    asked = json.dumps({"model": "m", "keep_alive": keep_alive}).encode()
    for path in ("/api/chat", "/api/generate"):
        answered = translator_between("ollama", "openai", Call(StillClock(), "r1")).begin(path, asked)
        assert isinstance(answered, Answered)
        assert json.loads(answered.body)["done_reason"] == reason


@pytest.mark.parametrize(
    ("way", "body", "message"),
    [
        pytest.param(OLLAMA, {"messages": []}, "model is required", id="no model"),
        pytest.param(OLLAMA, {**CHAT, "stream": "yes"}, "stream must be true or false", id="stream"),
        pytest.param(OLLAMA, {**CHAT, "messages": [3]}, "messages must be a list of objects", id="messages"),
        pytest.param(OLLAMA, {**CHAT, "format": "yaml"}, 'format must be "json" or a JSON schema', id="format"),
        pytest.param(OLLAMA, {**CHAT, "think": "ultra"}, "think must be true, false", id="think"),
        pytest.param(OLLAMA, {**CHAT, "options": {"seed": 1.5}}, "options.seed must be a whole number", id="seed"),
        pytest.param(OLLAMA, {**CHAT, "options": {"top_p": "1"}}, "options.top_p must be a number", id="top_p"),
        pytest.param(OLLAMA, {**CHAT, "options": []}, "options must be an object", id="options"),
        pytest.param(OLLAMA, {**CHAT, "tools": [{"type": "web"}]}, r"tools\[0\] must be a function", id="tool"),
        pytest.param(OPENAI, {**CHAT, "messages": [{"role": "function"}]}, r"messages\[0\].role must be", id="role"),
        pytest.param(OPENAI, {**CHAT, "reasoning_effort": "ultra"}, "reasoning_effort must be none", id="effort"),
        pytest.param(OPENAI, {**CHAT, "response_format": {"type": "x"}}, "response_format.type must be", id="type"),
        pytest.param(
            OPENAI,
            {**CHAT, "messages": [{"role": "assistant", "tool_calls": [
                {"id": "a", "function": {"name": "f", "arguments": "{oops"}}
            ]}]},
            r"messages\[0\].tool_calls\[0\].function.arguments must be the text of a JSON object",
            id="arguments",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(way: tuple[str, str, str], body: object, message: str) -> None:
    with pytest.raises(Untranslatable, match=message) as refused:
        sent(way, body)

    assert refused.value.status == 400


@pytest.mark.parametrize("way", PATHS, ids=lambda way: way[2])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"\xff", b'{"model":"m","model":"n"}', b'{"model":"m","x":NaN}', b"{" * 2000]
)
def test_a_body_that_is_no_strict_json_is_refused(way: tuple[str, str, str], body: bytes) -> None:
    with pytest.raises(Untranslatable, match="the body is no JSON object"):
        translator_between(way[0], way[1], Call(StillClock(), "r1")).begin(way[2], body)


def test_a_number_beyond_all_numbers_is_refused() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"format":{"maximum":1e999}}'

    with pytest.raises(Untranslatable, match="the body cannot be written"):
        translator_between("ollama", "openai", Call(StillClock(), "r1")).begin("/api/chat", body)


@pytest.mark.parametrize(
    ("image", "media_type"),
    [
        ("iVBORw0KGgo=", "image/png"),
        ("/9j/4AAQSkZJRg==", "image/jpeg"),
        ("R0lGODlhAQABAA==", "image/gif"),
        ("UklGRiQAAABXRUJQVlA4", "image/webp"),
    ],
)
def test_the_type_of_an_image_is_told_from_its_bytes(image: str, media_type: str) -> None:
    body = sent(OLLAMA, {"model": "m", "messages": [{"role": "user", "images": [image]}]})

    url = f"data:{media_type};base64,{image}"
    assert body["messages"][0]["content"] == [{"type": "image_url", "image_url": {"url": url}}]


members = st.sampled_from([
    "model", "messages", "prompt", "input", "role", "content", "images", "tools", "tool_calls", "function", "name",
    "arguments", "options", "stream", "format", "think", "keep_alive", "type", "text", "image_url", "url", "stop",
    "response_format", "json_schema", "schema", "tool_call_id", "id", "encoding_format", "stream_options", "suffix",
    "temperature", "seed", "dimensions", "reasoning_effort", "raw",
])  # fmt: skip
words = st.sampled_from(
    ["user", "assistant", "tool", "text", "image_url", "function", "json", "{}", "", "data:;base64,"]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words | st.text(max_size=4)
trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner), max_leaves=15)


@pytest.mark.parametrize("way", PATHS, ids=lambda way: way[2])
@settings(max_examples=60, deadline=None)
@given(asked=st.dictionaries(members, trees, max_size=6), drop=st.booleans())
def test_any_request_is_sent_answered_or_refused(
    way: tuple[str, str, str], asked: dict[str, object], drop: bool
) -> None:
    translation = translator_between(way[0], way[1], Call(StillClock(), "r1", drop_unsupported=drop))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "prompt": "hi", **asked})
    try:
        begun = translation.begin(way[2], body.encode())
    except Untranslatable as problem:
        begun = translation.error(problem)
        assert json.loads(begun.body)["error"]

    assert isinstance(json.loads(begun.body), dict)


@pytest.mark.parametrize(("more", "name"), [({}, "max_completion_tokens"), ({"raw": True}, "max_tokens")])
def test_a_chats_length_has_the_name_that_the_upstream_knows(more: dict[str, Any], name: str) -> None:
    """Texts have the older one alone."""
    body = {"model": "m", "prompt": "hi", "options": {"num_predict": 7}, **more}
    call = Call(StillClock(), "r1", length="max_completion_tokens")

    begun = translator_between("ollama", "openai", call).begin("/api/generate", json.dumps(body).encode())

    assert isinstance(begun, Sent)
    said = json.loads(begun.body)
    assert {key: said[key] for key in said if key.startswith("max_")} == {name: 7}


@pytest.mark.parametrize(
    ("path", "asked"),
    [("/api/chat", {"messages": [{"role": "user", "content": "hi"}]}), ("/api/generate", {"prompt": "hi"})],
)
def test_a_stream_is_not_asked_for_its_usage_where_the_upstream_does_not_know_that(
    path: str, asked: dict[str, Any]
) -> None:
    call = Call(StillClock(), "r1", asks_usage=False)

    begun = translator_between("ollama", "openai", call).begin(path, json.dumps({"model": "m", **asked}).encode())

    assert isinstance(begun, Sent)
    said = json.loads(begun.body)
    assert said["stream"] is True
    assert "stream_options" not in said
