import json

from llm_providers.translation import Call
from tests.support.clock import StillClock
from tests.support.translators import translator_between

CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
FINISH = (
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\ndata: [DONE]\n\n'
)


def test_durations_are_those_of_the_call() -> None:
    clock = StillClock()
    translation = translator_between("ollama", "openai", Call(clock, "r1"))
    translation.begin("/api/generate", b'{"model":"m","prompt":"hi"}')
    translation.head(200, "text/event-stream")

    clock.advance(2)
    first = json.loads(translation.feed(CHUNK))
    clock.advance(3)
    last = json.loads(translation.feed(FINISH))

    assert (first["created_at"], last["created_at"]) == ("2023-11-14T22:13:22.000000Z", "2023-11-14T22:13:25.000000Z")
    assert (last["prompt_eval_duration"], last["eval_duration"]) == (2_000_000_000, 3_000_000_000)
    assert last["total_duration"] == 5_000_000_000


def test_each_piece_is_told_as_it_comes() -> None:
    translation = translator_between("ollama", "openai", Call(StillClock(), "r1"))
    translation.begin("/api/generate", b'{"model":"m","prompt":"hi"}')
    head = translation.head(200, "text/event-stream; charset=utf-8")

    assert not head.whole
    assert translation.feed(CHUNK[:20]) == b""
    assert json.loads(translation.feed(CHUNK[20:]))["response"] == "a"
    assert json.loads(translation.feed(FINISH))["done"]
    assert translation.feed(b"more") == b""
    assert translation.end() == b""
