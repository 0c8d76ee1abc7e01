"""What a model's provider learns of the call beside its body: nothing of who calls, and from where."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.calls import Call
from tests.support.llm.catalog import GPT, LLAMA
from tests.support.llm.clients import CHAT, OLLAMA_CHAT
from tests.support.llm.gateway import RICH, bearer, cloud_upstream, local_upstream
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer
from tests.support.llm.script import Fault, Script

PLAIN = "/plain"
HOST, PROVIDER, CLIENT = "gateway.example", "provider.example", "203.0.113.7"
# What clients, and proxies before the gateway, may say of who calls.
TELLING = {
    "cookie": "session=1234",
    "origin": "https://intranet.example",
    "referer": "https://intranet.example/page",
    "via": "1.1 proxy.example",
    "x-forwarded-for": CLIENT,
    "x-forwarded-proto": "https",
    "x-forwarded-user": "alice",
    "x-forwarded-email": "alice@example.com",
    "x-auth-request-user": "alice",
    "cf-connecting-ip": CLIENT,
    "x-cluster-client-ip": CLIENT,
    "openai-organization": "org-of-the-client",
    "openai-project": "project-of-the-client",
    "x-tollgate-subject": "somebody-else",
}
# What goes on as the client said it.
HARMLESS = {"accept": "application/json", "user-agent": "an agent", "x-of-the-application": "7"}
# All that arrives beside these.
ARRIVES = {
    "accept-encoding",
    "authorization",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "x-request-id",
}
OF_ENVOY = {"x-envoy-expected-rq-timeout-ms", "x-envoy-original-path"}


@pytest.fixture(scope="module")
def running(local: OllamaServer, cloud: OpenAIServer) -> Iterator[Gateway]:
    config = {
        "listeners": {"public": {"address": "127.0.0.1:${GATEWAY_PORT}", "trusted_proxies": ["127.0.0.0/8"]}},
        "identity": {"bearer_tokens": [{"name": "rich", "token": RICH}]},
        "defaults": {"auth": ["bearer"]},
        "upstreams": {
            "local": local_upstream(local),
            "own": local_upstream(local, api="ollama-native"),
            "cloud": cloud_upstream(cloud, host_header=PROVIDER),
        },
        "models": [
            {"name": LLAMA, "upstream": "local"},
            {"name": GPT, "upstream": "cloud"},
            {"name": "own", "upstream": "own", "upstream_model": LLAMA},
            {"name": "broken", "upstream": "cloud", "upstream_model": GPT, "fallback": [LLAMA]},
            {"name": "shared", "upstream": [{"name": "cloud", "model": GPT}, {"name": "local", "model": LLAMA}]},
        ],
        "routes": [{"name": "plain", "match": {"path": PLAIN}, "upstream": "cloud"}],
    }
    with running_gateway(config) as gateway:
        yield gateway


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.client(headers={**bearer(), "host": HOST, **TELLING, **HARMLESS}) as found:
        yield found


def says(model: str) -> Mapping[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": False}


def learned(call: Call) -> set[str]:
    """The names of headers that no upstream of models needs."""
    return call.headers.keys() - HARMLESS.keys() - ARRIVES - OF_ENVOY


@pytest.mark.parametrize(
    ("path", "model"),
    [
        pytest.param(CHAT, LLAMA, id="native"),
        pytest.param(CHAT, GPT, id="native, another host"),
        pytest.param(OLLAMA_CHAT, LLAMA, id="native by ollama's API"),
        pytest.param(CHAT, "own", id="translated to ollama's API"),
        pytest.param(OLLAMA_CHAT, GPT, id="translated to openai's API"),
        pytest.param(CHAT, "shared", id="of several"),
        pytest.param(OLLAMA_CHAT, "broken", id="translated, before another one"),
    ],
)
def test_a_provider_does_not_learn_who_calls(
    gateway: Gateway, http: httpx.Client, local: OllamaServer, cloud: OpenAIServer, path: str, model: str
) -> None:
    answer = http.post(path, json=says(model))

    assert answer.status_code == 200, answer.text
    (call,) = local.calls + cloud.calls
    assert learned(call) == set()
    assert {name: call.headers[name] for name in HARMLESS} == HARMLESS
    assert call.headers["x-request-id"] == answer.headers["x-request-id"]
    assert call.headers.get("accept-encoding", "identity") == "identity"
    assert not [value for value in (RICH, HOST) if value in str(call.headers).replace(f"'host': '{HOST}'", "")]
    # The gateway's own log knows all of it.
    row = gateway.logged(answer.headers["x-request-id"])
    assert (row["subject"], row["host"], row["client"]) == ("rich", HOST, CLIENT)


@pytest.mark.parametrize("path", [CHAT, OLLAMA_CHAT])
def test_nor_does_the_one_who_is_asked_next(
    gateway: Gateway, http: httpx.Client, local: OllamaServer, cloud: OpenAIServer, path: str
) -> None:
    cloud.plays(Script(fault=Fault(503)))

    answer = http.post(path, json=says("broken"))

    assert answer.status_code == 200, answer.text
    assert [learned(call) for call in (*cloud.calls, *local.calls)] == [set(), set()]
    assert "authorization" not in local.calls[-1].headers
    row = gateway.logged(answer.headers["x-request-id"])
    assert (row["subject"], row["host"], row["client"]) == ("rich", HOST, CLIENT)


def test_an_upstream_of_a_route_that_is_written_learns_it_as_before(
    gateway: Gateway, http: httpx.Client, cloud: OpenAIServer
) -> None:
    answer = http.post(PLAIN, json={})

    call = cloud.calls[-1]
    assert {name: call.headers[name] for name in ("cookie", "referer", "x-forwarded-for")} == {
        name: TELLING[name] for name in ("cookie", "referer", "x-forwarded-for")
    }
    assert (call.headers["x-tollgate-subject"], call.headers["x-forwarded-host"]) == ("rich", HOST)
    assert gateway.logged(answer.headers["x-request-id"])["host"] == HOST
