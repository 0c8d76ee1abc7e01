"""What a provider tells of the operator's account there is not told to callers, who are told of their own limits."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.catalog import GPT, LLAMA
from tests.support.llm.clients import CHAT, HELLO, OLLAMA_CHAT
from tests.support.llm.gateway import before
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import ACCOUNT, OpenAIServer
from tests.support.llm.script import Fault, Script

LIMITS = ("requests", "tokens")
OWN = {f"x-ratelimit-{what}-{usage}" for what in ("limit", "remaining", "reset") for usage in LIMITS}


@pytest.fixture(scope="module")
def running(local: OllamaServer, cloud: OpenAIServer) -> Iterator[Gateway]:
    plain = {"upstream": "cloud", "upstream_model": GPT}
    reliable = {
        "upstream": "local", "upstream_model": LLAMA,
        "fallback": [{"upstream": "cloud", "model": GPT}],
    }  # fmt: skip
    limits = {"limits": [{"requests": "777/minute"}, {"tokens": "88888/minute"}]}
    models = [
        {"name": "plain", **plain},
        {"name": "plain-limited", **plain, **limits},
        {"name": "reliable", **reliable},
        {"name": "reliable-limited", **reliable, **limits},
        {"name": "spent", **plain, "limits": [{"requests": "1/hour"}]},
    ]
    with running_gateway(
        before(local, cloud, models=models, plans={"pro": {"models": ["*"]}, "free": {}}, llm={})
    ) as at:
        yield at


def told(answer: httpx.Response) -> Mapping[str, str]:
    """Repeated ones are joined."""
    return {name: value for name, value in answer.headers.items() if name in ACCOUNT}


def body(model: str, *, stream: bool) -> Mapping[str, Any]:
    return {"model": model, "messages": HELLO, "stream": stream}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", [CHAT, OLLAMA_CHAT], ids=["as it is", "translated"])
@pytest.mark.parametrize("model", ["plain", "reliable"])
def test_of_the_operators_account_nothing_is_told(
    http: httpx.Client, local: OllamaServer, path: str, model: str, *, stream: bool
) -> None:
    local.plays(Script(fault=Fault(500)))

    answer = http.post(path, json=body(model, stream=stream))

    assert (answer.status_code, told(answer)) == (200, {})


@pytest.mark.parametrize("path", [CHAT, OLLAMA_CHAT], ids=["as it is", "translated"])
@pytest.mark.parametrize("model", ["plain-limited", "reliable-limited"])
def test_who_calls_is_told_of_the_own_limits_alone(
    http: httpx.Client, local: OllamaServer, path: str, model: str
) -> None:
    local.plays(Script(fault=Fault(500)))

    answer = http.post(path, json=body(model, stream=False))

    assert answer.status_code == 200
    assert told(answer).keys() == OWN
    limits = [answer.headers[f"x-ratelimit-limit-{usage}"] for usage in LIMITS]
    assert limits == ["777", "88888"]


@pytest.mark.parametrize("model", ["plain", "plain-limited"])
def test_an_error_of_the_provider_tells_as_little(http: httpx.Client, cloud: OpenAIServer, model: str) -> None:
    cloud.plays(Script(fault=Fault(429, headers={"retry-after": "7", **ACCOUNT})))

    answer = http.post(CHAT, json=body(model, stream=False))

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert "10000" not in told(answer).values()


def test_a_refusal_tells_of_the_limit(http: httpx.Client) -> None:
    answers = [http.post(CHAT, json=body("spent", stream=False)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"1"}
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["0", "0"]
