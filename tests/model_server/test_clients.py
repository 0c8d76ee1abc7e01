"""The clients of OpenAI's and Ollama's APIs over a real model server: what it tells is what is charged and kept."""

from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import openai
import pytest

from tests.e2e.test_tokens import data
from tests.support.eventually import until
from tests.support.gateway import Gateway
from tests.support.llm.gateway import RICH, bearer

HELLO = [{"role": "user", "content": "hello there"}]
MOST = 12
TALE = {"model": "tale", "messages": HELLO, "max_tokens": MOST}


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with of_openai(gateway) as found:
        yield found


@pytest.fixture
def of_ollama(gateway: Gateway) -> Iterator[ollama.Client]:
    client = ollama.Client(host=gateway.url, headers=bearer(), trust_env=False, timeout=60)
    yield client
    client._client.close()


def of_openai(gateway: Gateway, token: str = RICH) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=token, max_retries=0, timeout=60)


def logged(gateway: Gateway, request_id: str) -> tuple[int, int]:
    """Tokens in and out."""
    row = gateway.logged(request_id)
    return row["tokens_in"], row["tokens_out"]


def test_chat(gateway: Gateway, client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(**TALE)

    answer = raw.parse()
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == MOST
    assert logged(gateway, raw.headers["x-request-id"]) == (answer.usage.prompt_tokens, MOST)


@pytest.mark.parametrize("asks", [False, True], ids=["no-usage", "usage"])
def test_a_stream(gateway: Gateway, client: openai.OpenAI, *, asks: bool) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if asks else {}
    raw = client.chat.completions.with_raw_response.create(**TALE, stream=True, **options)

    chunks = list(raw.parse())

    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["length"]
    tokens_in, tokens_out = logged(gateway, raw.headers["x-request-id"])
    told = [(chunk.usage.prompt_tokens, chunk.usage.completion_tokens) for chunk in chunks if chunk.usage]
    assert told == ([(tokens_in, tokens_out)] if asks else [])
    assert all(chunk.choices for chunk in chunks) is not asks
    assert tokens_out == MOST


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_text(gateway: Gateway, client: openai.OpenAI, *, streamed: bool) -> None:
    raw = client.completions.with_raw_response.create(model="tale", prompt="once", max_tokens=MOST, stream=streamed)

    answer = raw.parse()
    chunks = list(answer) if streamed else [answer]
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "length"
    assert logged(gateway, raw.headers["x-request-id"])[1] == MOST


def test_vectors(gateway: Gateway, client: openai.OpenAI) -> None:
    raw = client.embeddings.with_raw_response.create(model="vectors", input=["one two", "three"])

    answer = raw.parse()
    assert len({len(item.embedding) for item in answer.data}) == 1
    assert len(answer.data) == 2
    assert logged(gateway, raw.headers["x-request-id"]) == (answer.usage.prompt_tokens, 0)


def test_models(client: openai.OpenAI) -> None:
    """Those that are written, and the one that the server lists."""
    assert {"tale", "vectors", "tiny"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("tiny").owned_by
    assert client.chat.completions.create(**{**TALE, "model": "tiny"}).choices


def test_who_may_not_call(gateway: Gateway) -> None:
    with of_openai(gateway, "nobodys") as client, pytest.raises(openai.AuthenticationError) as refused:
        client.chat.completions.create(**TALE)

    assert refused.value.code == "unknown_token"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_key_that_the_server_does_not_take(gateway: Gateway, client: openai.OpenAI, *, streamed: bool) -> None:
    """Costs nothing, and says whose error it is."""
    with pytest.raises(openai.APIStatusError, match="Invalid API Key") as refused:
        client.chat.completions.create(**{**TALE, "model": "locked"}, stream=streamed)

    row = gateway.logged(refused.value.response.headers["x-request-id"])
    assert (row["tokens_in"], row["tokens_out"], row["upstream"]) == (0, 0, "locked")


def test_a_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**{**TALE, "messages": [{"role": "user"}]})


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_chat_of_ollama(gateway: Gateway, of_ollama: ollama.Client, *, streamed: bool) -> None:
    answer = of_ollama.chat("tale", HELLO, options={"num_predict": MOST}, stream=streamed)

    parts = list(answer) if streamed else [answer]
    assert (parts[-1].done, parts[-1].done_reason, parts[-1].eval_count) == (True, "length", MOST)
    until(lambda: (parts[-1].prompt_eval_count, MOST) in tokens_of(gateway, "ollama-chat:tale"))


def tokens_of(gateway: Gateway, route: str) -> list[tuple[int, int]]:
    return [(row["tokens_in"], row["tokens_out"]) for row in gateway.access_log() if row["route"] == route]


def test_texts_and_vectors_of_ollama(gateway: Gateway, of_ollama: ollama.Client) -> None:
    parts = list(of_ollama.generate("tale", "once", options={"num_predict": MOST}, stream=True))
    vectors = of_ollama.embed("vectors", ["one two", "three"])

    assert (parts[-1].done, parts[-1].eval_count) == (True, MOST)
    assert len(vectors.embeddings) == 2
    until(lambda: (parts[-1].prompt_eval_count, MOST) in tokens_of(gateway, "ollama-generate:tale"))
    until(lambda: (vectors.prompt_eval_count, 0) in tokens_of(gateway, "ollama-embed:vectors"))


def test_models_of_ollama(of_ollama: ollama.Client) -> None:
    assert {"tale", "tiny"} <= {model.model for model in of_ollama.list().models}
    assert of_ollama.show("tale").capabilities


def test_an_error_for_ollamas_client(of_ollama: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="Invalid API Key"):
        of_ollama.chat("locked", HELLO)


def test_who_hangs_up_is_charged_what_was_sent(gateway: Gateway) -> None:
    """The server says each token in an event; it stops."""
    body = {**TALE, "max_tokens": 2000, "stream": True}
    with gateway.client(headers=bearer()) as http, http.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_lines())

    row = gateway.logged(answer.headers["x-request-id"])
    assert 1 <= row["tokens_passed"] < 2000
    assert row["flags"] == "DC"


def test_the_ledger_and_the_quota_know_the_same(gateway: Gateway, client: openai.OpenAI) -> None:
    client.chat.completions.create(**TALE)

    def agree() -> bool:
        (quota,) = data(gateway, "quota", "list", "--consumer", "acme")["quotas"]
        lines = data(gateway, "usage", "--by", "model")["usage"]
        kept = sum(line["tokens_in"] + line["tokens_out"] for line in lines)
        return quota["held"] == 0 and int(quota["used"]) == kept > 0

    until(agree)
    found = httpx.get(f"{gateway.admin_url}/metrics", trust_env=False, verify=False).text
    assert 'tollgate_llm_requests_total{model="tale",outcome="ok"' in found
