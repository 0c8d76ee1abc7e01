"""A provider that refuses the gateway's own credential: clients hear that the upstream failed, the log what it said."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.support.asgi_server import asgi_server
from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.catalog import GPT, LLAMA
from tests.support.llm.clients import CHAT, OLLAMA_CHAT
from tests.support.llm.gateway import POOR, bearer, before, cloud_upstream, local_upstream
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer
from tests.support.llm.script import Fault, Script, Usage
from tests.support.ports import free_port

EMBEDDINGS = "/v1/embeddings"
EMBEDS = "nomic-embed-text"
CODE, PAGE = "upstream_refused_credential", "https://page.example"
SAID = "Incorrect API key provided: sk-...6789"
HEADERS = {"www-authenticate": 'Bearer realm="of the provider"', "x-should-retry": "false", "set-cookie": "a=b"}
# All that an answer has which the gateway makes itself, and the limiter's.
OURS = {"content-type", "content-length", "date", "server", "x-request-id",
        "access-control-allow-origin", "access-control-expose-headers", "vary", "x-of-the-operator"}  # fmt: skip
WAYS = (
    pytest.param(CHAT, GPT, id="native"),
    pytest.param(CHAT, LLAMA, id="native, of an ollama"),
    pytest.param(EMBEDDINGS, EMBEDS, id="native, embeddings"),
    pytest.param(OLLAMA_CHAT, LLAMA, id="native by ollama's API"),
    pytest.param(CHAT, "own", id="translated to ollama's API"),
    pytest.param(OLLAMA_CHAT, GPT, id="translated to openai's API"),
    pytest.param(CHAT, "reliable", id="of several in turn"),
    pytest.param(OLLAMA_CHAT, "reliable", id="of several in turn, translated"),
    pytest.param(CHAT, "shared", id="of several"),
)
BODIES: Mapping[str, bytes] = {
    "empty": b"",
    "large": b"x" * 3_000_000,
    "stream": b'data: {"choices": []}\n\n',
    "compressed": b"\x1f\x8b\x08",
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[OpenAIServer]:
    """Which does not know the gateway's key."""
    with OpenAIServer(keys=["sk-another"]) as server:
        yield server


@pytest.fixture(scope="module")
def odd() -> Iterator[int]:
    """Refuses in the way that the model's name says; or says in a header whose key it got."""

    async def chat(request: Request) -> Response:
        name = (await request.json())["model"]
        if name == "keys":
            keys = {name: request.headers.get(name, "") for name in ("api-key", "x-api-key", "x-goog-api-key")}
            return Response(b"{}", 403, {f"got-{name}": key for name, key in keys.items()})
        kinds = {"stream": "text/event-stream"}
        encodings = {"compressed": {"content-encoding": "gzip"}}
        headers = {"content-type": kinds.get(name, "application/json"), **encodings.get(name, {})}
        if name == "large":
            return StreamingResponse(iter([BODIES[name]]), 401, headers)
        return Response(BODIES[name], 401, headers)

    port = free_port()
    with asgi_server(Starlette(routes=[Route(CHAT, chat, methods=["POST"])]), port):
        yield port


@pytest.fixture(scope="module")
def running(local: OllamaServer, cloud: OpenAIServer, odd: int) -> Iterator[Gateway]:
    oddly = {"url": f"http://127.0.0.1:{odd}", "api": "openai", "health_check": "none"}
    config = {
        **before(local, cloud),
        "plans": {"pro": {}, "free": {"quotas": [{"usage": "tokens", "amount": "5000/month"}]}},
        "upstreams": {
            "local": local_upstream(local),
            "own": local_upstream(local, api="ollama-native"),
            "cloud": cloud_upstream(cloud),
            "odd": oddly,
            "azure": {**oddly, "credential": {"header": "api-key", "value": "of-the-gateway"}},
        },
        "models": [
            {"name": LLAMA, "upstream": "local"},
            {"name": GPT, "upstream": "cloud"},
            {"name": EMBEDS, "upstream": "local", "apis": ["embeddings"]},
            {"name": "own", "upstream": "own", "upstream_model": LLAMA},
            {"name": "reliable", "upstream": "cloud", "upstream_model": GPT, "fallback": [LLAMA]},
            {"name": "shared", "upstream": [{"name": "cloud", "model": GPT}, {"name": "local", "model": LLAMA}]},
            {"name": "keys", "upstream": "odd"},
            {"name": "own-keys", "upstream": "azure", "upstream_model": "keys"},
            *({"name": name, "upstream": "odd"} for name in BODIES),
        ],
        "llm": {"cors": {"origins": [PAGE]}, "response_headers": {"set": {"x-of-the-operator": "7"}}},
    }  # fmt: skip
    with running_gateway(config) as gateway:
        yield gateway


def says(model: str, *, stream: bool = False) -> Mapping[str, Any]:
    if model == EMBEDS:
        return {"model": model, "input": "hello"}
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": stream}


def is_ours(answer: httpx.Response, path: str) -> bool:
    """Whether it says that the upstream failed, in the words of the client's API, and nothing else."""
    error = answer.json()["error"]
    if path == OLLAMA_CHAT:
        return answer.json().keys() == {"error"} and "gateway's own credential" in error
    expected = {"code": CODE, "type": "api_error", "param": None, "request_id": answer.headers["x-request-id"]}
    return error.items() >= expected.items() and "gateway's own credential" in error["message"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", [401, 402])
@pytest.mark.parametrize(("path", "model"), WAYS)
def test_nothing_of_it_reaches_the_client(
    gateway: Gateway, http: httpx.Client, local: OllamaServer, cloud: OpenAIServer, path: str, model: str, status: int,
    *, stream: bool,
) -> None:  # fmt: skip
    for server in (local, cloud):
        server.plays(*[Script(fault=Fault(status, SAID, headers=HEADERS))] * 2)

    answer = http.post(path, json=says(model, stream=stream), headers={"origin": PAGE})

    assert answer.status_code == 502
    assert is_ours(answer, path), answer.text
    assert answer.headers.keys() - OURS == set()
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["x-of-the-operator"] == "7"
    row = gateway.logged(answer.headers["x-request-id"])
    refused = status if local.calls else 401
    assert (row["status"], row["upstream_status"], row["attempts"]) == (502, refused, 2 if model == "reliable" else 1)
    assert row["upstream"] in row["targets"]


@pytest.mark.parametrize("path", [CHAT, OLLAMA_CHAT])
def test_http2_clients_hear_the_same(gateway: Gateway, path: str) -> None:
    with gateway.client(headers=bearer(), http1=False, http2=True) as http:
        answer = http.post(path, json=says(GPT, stream=True))

        assert (answer.http_version, answer.status_code) == ("HTTP/2", 502)
        assert is_ours(answer, path), answer.text


@pytest.mark.parametrize("name", BODIES)
def test_whatever_it_says(gateway: Gateway, http: httpx.Client, name: str) -> None:
    answer = http.post(CHAT, json=says(name))

    assert (answer.status_code, answer.headers.keys() - OURS) == (502, set())
    assert is_ours(answer, CHAT), answer.text
    assert gateway.logged(answer.headers["x-request-id"])["upstream_status"] == 401


@pytest.mark.parametrize(("path", "model"), WAYS[:6])
def test_what_a_provider_does_not_allow_passes(
    http: httpx.Client, local: OllamaServer, cloud: OpenAIServer, path: str, model: str
) -> None:
    """It may be about what was asked."""
    cloud.keys.add("sk-of-the-gateway-itself")
    for server in (local, cloud):
        server.plays(Script(fault=Fault(403, "This is against our rules.")))

    answer = http.post(path, json=says(model))
    cloud.keys.remove("sk-of-the-gateway-itself")

    assert (answer.status_code, "This is against our rules." in answer.text) == (403, True)
    assert not [name for name in answer.headers if name.endswith("-answered")]


def test_what_the_gateway_refuses_itself_stays(gateway: Gateway, http: httpx.Client, local: OllamaServer) -> None:
    with gateway.client(headers={"authorization": "Bearer nobody's"}) as nobody:
        unknown = nobody.post(CHAT, json=says(LLAMA))

    assert (unknown.status_code, unknown.json()["error"]["code"]) == (401, "unknown_token")
    assert unknown.headers["www-authenticate"]
    row = gateway.logged(unknown.headers["x-request-id"])
    assert (row["status"], row["upstream_status"], local.calls) == (401, None, [])
    local.plays_always(Script(usage=Usage(6000, 1)))
    with gateway.client(headers=bearer(POOR)) as poor:
        assert poor.post(CHAT, json=says(LLAMA)).status_code == 200
        spent = poor.post(CHAT, json=says(LLAMA))

    assert (spent.status_code, spent.json()["error"]["code"]) == (402, "quota_exceeded")
    assert not [name for name in (*unknown.headers, *spent.headers) if name.endswith("-answered")]


@pytest.mark.parametrize(("model", "own"), [("keys", ""), ("own-keys", "of-the-gateway")])
def test_keys_of_clients_go_to_no_provider(http: httpx.Client, model: str, own: str) -> None:
    theirs = {"api-key": "of-the-client", "x-goog-api-key": "of-the-client", "x-api-key": "of-the-client"}
    del theirs["x-api-key"]  # beside another credential the gateway refuses it

    answer = http.post(CHAT, json=says(model), headers=theirs)

    assert answer.status_code == 403
    assert {name: answer.headers[f"got-{name}"] for name in ("api-key", "x-api-key", "x-goog-api-key")} == {
        "api-key": own,
        "x-api-key": "",
        "x-goog-api-key": "",
    }
