"""Calls of language models, counted: by whom and of which model, charged by who answered, and kept in the ledger."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import httpx
import ollama
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service_kit.api_keys import key_hash, new_key
from tests.e2e.test_tokens import data, token
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.catalog import GPT, LLAMA, QWEN
from tests.support.llm.clients import CHAT, HELLO, OLLAMA_CHAT, ollama_client
from tests.support.llm.gateway import CLEVER, bearer, before
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer
from tests.support.llm.script import Fault, Script
from tests.support.llm.tokens import prompt_tokens

PEPPER = b"a-pepper-of-at-least-thirty-two-bytes"
DECLARED = new_key(os.urandom)
MODES = ("service", "envoy")
# Nano-dollars a token, of who is asked first and of who answers after it; the first is the dearer to read.
FIRST, SECOND = (9_000, 1_000), (2_000, 8_000)
PROMPT = prompt_tokens(["hello there"])
LIMIT = 2_000


def price(nano: tuple[int, int]) -> Mapping[str, Any]:
    return {"input": nano[0] / 1000, "output": nano[1] / 1000, "unit": "1M"}


def config(local: OllamaServer, cloud: OpenAIServer, enforce: str) -> Mapping[str, Any]:
    found = before(local, cloud)
    own = {"id": DECLARED.id, "hash": f"hmac-sha256:{key_hash(PEPPER, DECLARED.text.encode()).hex()}"}
    reliable = {
        "name": "reliable", "upstream": "local", "upstream_model": LLAMA, "price": price(FIRST), "max_tokens": 100,
        "fallback": [{"upstream": "cloud", "model": GPT, "price": price(SECOND)}],
    }  # fmt: skip
    return {
        **found,
        "defaults": {"auth": ["bearer", "api_key", "jwt"]},
        "identity": {
            **found["identity"],
            "api_keys": {"pepper": PEPPER.decode()},
            "tokens": {"issuer": "https://gateway.example.com", "audiences": ["llm"], "enforce": enforce},
        },
        "consumers": [
            {"name": "acme", "plan": "pro", "keys": [{**own, "models": ["qwen3:*"]}]},
            {"name": "busy", "plan": "counted"},
        ],
        "plans": {
            **found["plans"],
            "pro": {"models": ["*"], "quotas": [{"usage": "usd", "amount": "5.00/month"}]},
            "counted": {
                "limits": [{"tokens": f"{LIMIT}/minute", "per": ["consumer", "model"]}],
                "quotas": [{"usage": "tokens", "amount": "1000000/month"}],
            },
        },
        "models": [*found["models"], reliable],
        "ledger": {"retention": "90d"},
    }


@pytest.fixture(scope="module")
def gateways(local: OllamaServer, cloud: OpenAIServer) -> Iterator[Mapping[str, Gateway]]:
    with ExitStack() as stack:
        yield {mode: stack.enter_context(running_gateway(config(local, cloud, mode))) for mode in MODES}


@pytest.fixture(scope="module")
def running(gateways: Mapping[str, Gateway]) -> Gateway:
    return gateways["service"]


def says(at: Gateway, model: str, credential: str, path: str = CHAT, **more: Any) -> httpx.Response:
    with at.client(headers=bearer(credential)) as client:
        return client.post(path, json={"model": model, "messages": HELLO, "stream": False, **more})


def key(at: Gateway, consumer: str, *more: str) -> Any:
    return data(at, "keys", "create", "--consumer", consumer, *more)


def ways(at: Gateway) -> Iterator[str]:
    """Credentials that come of keys for Qwen's models alone: of a stored key, and of a declared one."""
    stored = key(at, "acme", "--models", "qwen3:*")
    declared = {"id": DECLARED.id, "key": DECLARED.text}
    for found in (stored, declared):
        yield found["key"]
        yield token(at, found)
        yield data(at, "token", "--key", found["id"])["token"]


@pytest.mark.parametrize("mode", MODES)
def test_a_key_for_some_models_and_its_tokens_call_no_other(gateways: Mapping[str, Gateway], mode: str) -> None:
    at = gateways[mode]
    for credential in ways(at):
        assert says(at, QWEN, credential).status_code == 200
        for model in (LLAMA, "llama", CLEVER):
            refused = says(at, model, credential)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
        assert says(at, LLAMA, credential, OLLAMA_CHAT).status_code == 403


def test_envoy_lets_a_restricted_token_pass_by_itself(gateways: Mapping[str, Gateway]) -> None:
    at = gateways["envoy"]
    found = token(at, key(at, "acme", "--models", QWEN))

    answers = [says(at, model, found) for model in (QWEN, LLAMA)]

    assert [answer.status_code for answer in answers] == [200, 403]
    rows = [at.logged(answer.headers["x-request-id"]) for answer in answers]
    assert [row["decision"] for row in rows] == [None, None], "nobody was asked"


def test_a_key_without_models_calls_all_that_its_plan_may(gateway: Gateway) -> None:
    free = key(gateway, "acme")["key"]

    assert [says(gateway, model, free).status_code for model in (QWEN, LLAMA)] == [200, 200]


def test_the_plan_bounds_what_a_key_may(gateway: Gateway) -> None:
    found = key(gateway, "acme", "--plan", "free", "--models", "*")["key"]

    assert [says(gateway, model, found).status_code for model in (QWEN, LLAMA)] == [200, 403]


def test_refusals_of_the_authorizer_are_of_the_clients_shape(gateway: Gateway) -> None:
    openai, of_ollama = says(gateway, QWEN, "tgk_nothing"), says(gateway, QWEN, "tgk_nothing", OLLAMA_CHAT)

    error = openai.json()["error"]
    assert (openai.status_code, error["type"], error["param"]) == (401, "authentication_error", None)
    assert error.keys() == {"message", "type", "param", "code", "request_id"}
    assert (of_ollama.status_code, of_ollama.json()) == (401, {"error": error["message"]})
    told = pytest.raises(ollama.ResponseError, match=error["message"].split(":")[0])
    with ollama_client(gateway.url, "tgk_nothing") as client, told:
        client.chat(QWEN, HELLO)


def test_each_model_has_tokens_of_its_own_by_whatever_name_and_api(gateway: Gateway) -> None:
    busy = key(gateway, "busy")["key"]

    def left(model: str, path: str = CHAT, **more: Any) -> int:
        answer = says(gateway, model, busy, path, **more)
        assert answer.headers["x-ratelimit-limit-tokens"] == str(LIMIT)
        used_up(gateway, "busy")
        return int(answer.headers["x-ratelimit-remaining-tokens"])

    first = left(LLAMA, max_tokens=900)
    assert first < LIMIT - 900, "the answer and a token a byte of the prompt are held"
    again = left(LLAMA, max_tokens=900)
    assert PROMPT < first - again < 50, "what was not used is given back"
    assert left("llama", OLLAMA_CHAT, options={"num_predict": 10}) < LIMIT - 2 * PROMPT - 10
    assert left(QWEN, max_tokens=900) == first + len(LLAMA) - len(QWEN)


def used_up(at: Gateway, consumer: str, before_it: int | None = None) -> int:
    """What counts in the consumer's quota, once the last call has told its end."""
    found = []

    def told() -> bool:
        (quota,) = data(at, "quota", "list", "--consumer", consumer)["quotas"]
        found.append(int(quota["used"]))
        return quota["held"] == 0 and found[-1] != before_it

    until(told)
    return found[-1]


@pytest.mark.parametrize(
    ("path", "failing", "upstream", "prices"),
    [
        pytest.param(CHAT, False, "local", FIRST, id="the first"),
        pytest.param(CHAT, True, "cloud", SECOND, id="the next"),
        pytest.param(OLLAMA_CHAT, False, "local", FIRST, id="the first by Ollama's API"),
        pytest.param(OLLAMA_CHAT, True, "cloud", SECOND, id="the next by Ollama's API"),
    ],
)
def test_a_call_costs_what_it_costs_where_it_was_answered(
    gateway: Gateway, local: OllamaServer, path: str, failing: bool, upstream: str, prices: tuple[int, int]
) -> None:
    acme, before_it = key(gateway, "acme")["key"], used_up(gateway, "acme")
    if failing:
        local.plays(Script(fault=Fault(503)))

    answer = says(gateway, "reliable", acme, path)

    assert answer.status_code == 200, answer.text
    row = gateway.logged(answer.headers["x-request-id"])
    cost = row["tokens_in"] * prices[0] + row["tokens_out"] * prices[1]
    assert used_up(gateway, "acme", before_it) - before_it == cost > 0
    kept = in_ledger(gateway, answer)
    assert (kept["model"], kept["upstream"], kept["amount"]) == ("reliable", upstream, cost)


def in_ledger(at: Gateway, answer: httpx.Response) -> Mapping[str, Any]:
    """The sums of the one call of its key."""
    row = at.logged(answer.headers["x-request-id"])
    only = ("--only", f"key_id={row['key_id']}")
    lines: list[Any] = []

    def told() -> bool:
        lines[:] = data(at, "usage", "--by", "model,upstream", *only)["usage"]
        return bool(lines)

    until(told)
    (line,) = lines
    return line


def test_dashboards_know_models_and_no_words_of_clients(gateway: Gateway) -> None:
    acme = key(gateway, "acme")["key"]
    in_ledger(gateway, says(gateway, QWEN, acme))  # and whatever was called before
    before_it = series(gateway)
    with gateway.client(headers=bearer(acme)) as client:
        for number in range(3):
            assert client.post(CHAT, json={"model": f"word-{number}", "messages": HELLO}).status_code == 404
        assert client.post(CHAT, json={"model": "llama", "messages": HELLO}).status_code == 200

    asked = ("tollgate_llm_requests_total", LLAMA, "local", "ok")
    unknown = ("tollgate_llm_refusals_total", "-", "unknown_model")
    until(lambda: series(gateway).get(unknown, 0) - before_it.get(unknown, 0) == 3)
    until(lambda: series(gateway).get(asked, 0) - before_it.get(asked, 0) == 1)
    assert not any("word" in part for name in series(gateway) for part in name)
    first = ("tollgate_llm_first_token_seconds_count", LLAMA)
    assert series(gateway)[first] >= 1


def series(at: Gateway) -> Mapping[tuple[str, ...], float]:
    text = httpx.get(f"{at.admin_url}/metrics", trust_env=False, verify=False).text
    return {
        (sample.name, *(sample.labels[name] for name in ("model", "upstream", "outcome", "reason", "direction", "le")
                        if name in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("tollgate_llm")
    }  # fmt: skip


def test_the_ledger_is_as_it_was_written(gateway: Gateway) -> None:
    assert says(gateway, QWEN, key(gateway, "acme")["key"]).status_code == 200

    assert data(gateway, "usage", "verify")["findings"] == []
