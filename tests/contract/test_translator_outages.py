"""What a client sees when the translator or the upstream is away, late, talks nonsense, or dies in the middle."""

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.asgi_server import asgi_server
from tests.support.eventually import until
from tests.support.llm.calls import Outcome
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.script import Script
from tests.support.llm.tokens import words
from tests.support.ports import deaf_port, free_port
from tests.support.translation import TranslatingGateway, Way, translating_gateway

ASKED = {"model": "llama3.1:8b", "messages": [{"role": "user", "content": "how are you"}]}
STREAMED = {**ASKED, "stream": True}


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer() as found:
        yield found


@pytest.fixture
def way(server: OllamaServer) -> Way:
    return Way("openai", "ollama-native", server.port)


@pytest.fixture
def gateway(way: Way) -> Iterator[TranslatingGateway]:
    with gateway_before(way) as found:
        yield found


@contextmanager
def gateway_before(*ways: Way) -> Iterator[TranslatingGateway]:
    with tempfile.TemporaryDirectory(prefix="tr") as folder, translating_gateway(Path(folder), ways) as found:
        yield found


@pytest.fixture
def url(gateway: TranslatingGateway, way: Way) -> str:
    return f"{gateway.url(way)}/chat/completions"


def asked(url: str, body: dict = ASKED) -> httpx.Response:
    return httpx.post(url, json=body, timeout=30)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_a_stream_is_cut_when_the_translator_dies_and_the_next_one_passes(gateway, url, server, number):
    gate = threading.Event()
    server.plays(Script(text=words(8), gates={3: gate}))
    with httpx.stream("POST", url, json=STREAMED, timeout=30) as response:
        chunks = response.iter_raw()
        came = [next(chunks)]
        gateway.translator.stop(number)
        with pytest.raises(httpx.RemoteProtocolError):
            came.extend(chunks)

    text = b"".join(came)
    assert b"word1" in text
    assert b"[DONE]" not in text
    assert b'"message"' not in text  # nothing of Ollama's own
    assert server.settled()[0].outcome is Outcome.LEFT

    away = asked(url)
    assert (away.status_code, away.json()["error"]["code"]) == (503, "the gateway's")

    gateway.translator.start()
    until(lambda: asked(url).status_code == 200)
    assert asked(url, STREAMED).text.endswith("data: [DONE]\n\n")


def test_a_translator_that_is_asked_to_stop_ends_what_ends_soon(gateway, url, server):
    gate = threading.Event()
    server.plays(Script(text=words(8), gates={3: gate}))
    with httpx.stream("POST", url, json=STREAMED, timeout=30) as response:
        chunks = response.iter_text()
        came = next(chunks)
        stopping = threading.Thread(target=gateway.translator.stop, args=(signal.SIGTERM,))
        stopping.start()
        until(lambda: '"event": "stopping"' in gateway.translator.log.read_text())
        gate.set()
        came += "".join(chunks)
    stopping.join()

    assert came.endswith("data: [DONE]\n\n")


def test_an_upstream_that_refuses_is_told_by_the_gateway(gateway, url, server):
    server.stop()

    refused = asked(url)

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "the gateway's")
    server.start()
    assert asked(url).status_code == 200


def test_an_upstream_that_is_never_connected():
    with deaf_port() as port, gateway_before(way := Way("ollama", "openai", port)) as gateway:
        answer = asked(f"{gateway.url(way)}/api/chat")

    assert answer.status_code == 503
    assert answer.json()["error"].startswith("upstream connect error")


def test_an_upstream_that_is_silent_is_waited_for_as_long_as_the_route_says(gateway, url, server):
    server.plays(Script(gate=threading.Event()))

    assert asked(url).status_code == 504
    assert server.settled()[0].outcome is Outcome.LEFT
    until(lambda: gateway.translator.metrics()["tollgate_translator_open_streams"] == 0)


def test_the_path_of_the_upstream_takes_the_place_of_v1(server):
    with gateway_before(way := Way("ollama", "openai", server.port, path="/models/v1")) as gateway:
        asked(f"{gateway.url(way)}/api/chat")

    assert [call.path for call in server.calls] == ["/models/v1/chat/completions"]


def test_the_upstream_gets_its_own_name_of_the_model(server):
    with gateway_before(way := Way("openai", "ollama-native", server.port, model="qwen3:8b")) as gateway:
        answer = asked(f"{gateway.url(way)}/chat/completions")

    assert server.calls[0].body["model"] == "qwen3:8b"
    assert answer.json()["model"] == "llama3.1:8b"


def test_a_pair_that_is_none_fails_closed(server):
    with gateway_before(way := Way("openai", "openai", server.port)) as gateway:
        answer = asked(f"{gateway.url(way)}/chat/completions")
        misdirected = gateway.translator.metrics()["tollgate_translator_misdirected_total"]

    assert (answer.status_code, misdirected, server.calls) == (503, 1, [])


@pytest.mark.parametrize(
    ("status", "media_type", "body"),
    [
        pytest.param(200, "text/html", b"<html>", id="a page"),
        pytest.param(200, "application/json", b"", id="nothing"),
        pytest.param(204, "application/json", b"", id="no content"),
        pytest.param(302, "application/json", b"", id="elsewhere"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_nonsense_is_a_bad_gateway(status, media_type, body, streamed):
    with nonsense(status, media_type, body) as port, gateway_before(way := Way("ollama", "openai", port)) as gateway:
        answer = asked(f"{gateway.url(way)}/api/chat", {**ASKED, "stream": streamed})

    assert (answer.status_code, answer.headers["content-type"]) == (502, "application/json")
    assert "upstream" in answer.json()["error"]


@pytest.mark.parametrize("body", [b"data: {\n\n", b"data: 1\n\n", b'data: {"choices":[]}\n\n', b"\xff\n\n"])
def test_nonsense_in_a_stream_is_an_error_in_the_stream(body):
    with (
        nonsense(200, "text/event-stream", body) as port,
        gateway_before(way := Way("ollama", "openai", port)) as gateway,
    ):
        answer = asked(f"{gateway.url(way)}/api/chat", STREAMED)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert '"error"' in answer.text
    assert '"done":true' not in answer.text


def test_half_an_object_is_a_bad_gateway():
    with (
        nonsense(200, "application/json", b"{") as port,
        gateway_before(way := Way("ollama", "openai", port)) as gateway,
    ):
        answer = asked(f"{gateway.url(way)}/api/chat", {**ASKED, "stream": False})

    assert answer.status_code == 502


@contextmanager
def nonsense(status: int, media_type: str, body: bytes) -> Iterator[int]:
    """The port of a server that answers everything with this."""

    async def say(request: Request) -> Response:
        await request.body()
        return Response(body, status, media_type=media_type)

    port = free_port()
    with asgi_server(Starlette(routes=[Route("/{path:path}", say, methods=["POST"])]), port):
        yield port
