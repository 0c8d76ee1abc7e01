"""What dashboards read at /metrics of calls of language models: after real calls, as they come and translated."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.catalog import GPT, LLAMA
from tests.support.llm.clients import CHAT, OLLAMA_CHAT
from tests.support.llm.gateway import POOR, RICH, bearer, cloud_upstream, local_upstream
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer
from tests.support.llm.script import Fault, Script, Usage
from tests.support.llm.tokens import words

PRICE = {"input": 2, "output": 10, "unit": "1M"}
# Of a stream, how many tokens, and seconds a token: 50 a second, and fewer on a busy machine.
TOKENS, PACE, RATE = 40, 0.02, 50
USAGE = Usage(prompt=100, completion=TOKENS, cached=60, reasoning=10)
STREAMED = Script(text=words(TOKENS), pace=PACE, usage=USAGE)
COST = (USAGE.prompt * 2 + USAGE.completion * 10) / 1e6
MODELS = ("near", "translated", "far", "scarce")
# By its name and labels, in this order.
LABELS = ("model", "upstream", "outcome", "reason", "direction", "le")
Series = Mapping[tuple[str, ...], float]


def config(local: OllamaServer, cloud: OpenAIServer) -> Mapping[str, Any]:
    return {
        "identity": {
            "bearer_tokens": [
                {"name": "rich", "token": RICH, "plan": "pro"}, {"name": "poor", "token": POOR, "plan": "free"},
            ]
        },
        "defaults": {"auth": ["bearer"]},
        "plans": {"pro": {"models": ["*"]}, "free": {"models": ["far"]}},
        "upstreams": {
            "local": local_upstream(local), "own": local_upstream(local, api="ollama-native"),
            "cloud": cloud_upstream(cloud),
        },
        "models": [
            {"name": "near", "upstream": "local", "upstream_model": LLAMA, "price": PRICE},
            {"name": "translated", "upstream": "own", "upstream_model": LLAMA, "price": PRICE},
            {"name": "far", "upstream": "cloud", "upstream_model": GPT, "price": PRICE},
            {"name": "scarce", "upstream": "local", "upstream_model": LLAMA,
             "limits": [{"requests": "1/hour", "per": "subject"}]},
        ],
        "ledger": {"retention": "90d"},
    }  # fmt: skip


@pytest.fixture(scope="module")
def series(local: OllamaServer, cloud: OpenAIServer) -> Iterator[Series]:
    """What is told once all calls are in the ledger; the values of each name and labels."""
    with running_gateway(config(local, cloud)) as gateway:
        local.default = cloud.default = STREAMED
        made = sum(1 for _ in calls(gateway, cloud))
        yield until(lambda: found if total(found := told(gateway), "tollgate_llm_requests_total") == made else None)


def calls(gateway: Gateway, cloud: OpenAIServer) -> Iterator[None]:
    """Every kind of call, once for each yield."""

    def says(path: str, model: str, status: int = 200, token: str = RICH, **more: Any) -> None:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": True, **more}
        answer = client.post(path, json=body, headers=bearer(token))
        assert answer.status_code == status, answer.text

    with gateway.client() as client:
        for model in ("near", "translated", "far"):
            yield says(CHAT, model)
        for model in ("near", "far"):
            yield says(OLLAMA_CHAT, model)
        yield says(CHAT, "scarce", stream=False)
        yield says(CHAT, "scarce", 429)
        yield says(CHAT, "near", 403, POOR)
        yield says(CHAT, "near", 400, max_tokens=-1)
        for number in range(5):
            yield says(CHAT if number % 2 else OLLAMA_CHAT, f"no-such-model-{number}", 404)
        cloud.plays(Script(fault=Fault(422)), Script(fault=Fault(500)))
        yield says(CHAT, "far", 422)
        yield says(CHAT, "far", 500)


def told(gateway: Gateway) -> Series:
    text = httpx.get(f"{gateway.admin_url}/metrics", trust_env=False, verify=False).text
    return {
        (sample.name, *(sample.labels[name] for name in LABELS if name in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("tollgate_llm_") and not sample.name.endswith("_created")
    }


def total(series: Series, name: str) -> float:
    return sum(value for key, value in series.items() if key[0] == name)


def of(series: Series, name: str) -> Mapping[tuple[str, ...], float]:
    return {key[1:]: value for key, value in series.items() if key[0] == f"tollgate_llm_{name}"}


def test_calls_by_who_answered_and_what_became_of_them(series: Series) -> None:
    assert of(series, "requests_total") == {
        ("near", "local", "ok"): 2,
        ("translated", "own", "ok"): 1,
        ("far", "cloud", "ok"): 2,
        ("scarce", "local", "ok"): 1,
        ("scarce", "-", "refused"): 1,
        ("near", "-", "refused"): 2,
        ("-", "-", "refused"): 5,
        ("far", "cloud", "rejected"): 1,
        ("far", "cloud", "failed"): 1,
    }


def test_refusals_by_their_reason(series: Series) -> None:
    assert of(series, "refusals_total") == {
        ("scarce", "limit"): 1,
        ("near", "forbidden"): 1,
        ("near", "invalid_request"): 1,
        ("-", "unknown_model"): 5,
    }


def test_tokens(series: Series) -> None:
    """Ollama tells of no cached and no reasoning tokens, and neither does what is translated from its API, or to it."""
    used = {("input",): USAGE.prompt, ("output",): USAGE.completion}
    found = of(series, "tokens_total")

    for model, times in (("near", 2), ("translated", 1), ("far", 2), ("scarce", 1)):
        assert {key[1:]: value for key, value in found.items() if key[0] == model and key[1:] in used} == {
            key: value * times for key, value in used.items()
        }
    assert found["far", "cached"] >= USAGE.cached
    assert found["far", "reasoning"] >= USAGE.reasoning


def test_costs(series: Series) -> None:
    found = of(series, "cost_dollars_total")

    assert {model: found[model,] for model in MODELS} == pytest.approx(
        {"near": 2 * COST, "translated": COST, "far": 2 * COST, "scarce": 0}
    )


@pytest.mark.parametrize(("model", "answers"), [("near", 2), ("translated", 1), ("far", 2), ("scarce", 1)])
def test_the_time_to_the_first_token(series: Series, model: str, answers: int) -> None:
    """Of calls that went well."""
    assert series["tollgate_llm_first_token_seconds_count", model] == answers
    assert series["tollgate_llm_first_token_seconds_sum", model] > 0
    assert series["tollgate_llm_first_token_seconds_bucket", model, "+Inf"] == answers


@pytest.mark.parametrize(("model", "streams"), [("near", 2), ("translated", 1), ("far", 2)])
def test_tokens_a_second(series: Series, model: str, streams: int) -> None:
    """Of streams, which are no faster than their model."""
    assert series["tollgate_llm_output_tokens_per_second_count", model] == streams
    assert 0 < series["tollgate_llm_output_tokens_per_second_sum", model] <= streams * (RATE + 5)


def test_no_client_makes_a_series(series: Series) -> None:
    assert {key[1] for key in series} == {*MODELS, "-"}
    assert {key[2] for key in series if key[0] == "tollgate_llm_requests_total"} <= {"local", "own", "cloud", "-"}
