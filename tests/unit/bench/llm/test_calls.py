"""Calls of the real provider, and of one that answers wrongly. No time is judged."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bench.llm.asks import OLLAMA, OPENAI, Ask, Dialect, stamp, words
from bench.llm.calls import Place, Seen, calls
from bench.llm.effort import CHUNKS, Kind
from bench.llm.ground import llm_ground
from bench.llm.loads import wait_until_it_serves
from bench.llm.variants import Running, Variant, provider_alone
from bench.load import LoadFailed
from service_kit.clock import SystemClock
from tests.support.ports import free_port

FEW = Kind(6, 2)
CLOCK = SystemClock()
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with llm_ground(tmp_path_factory.mktemp("cache")) as ground:
        place = Place(ground.provider_port, ground.token)
        wait_until_it_serves(Variant("provider", "", provider_alone), Running(place, {}), CLOCK)
        yield place


@pytest.mark.parametrize("dialect", [pytest.param(OPENAI, id="openai"), pytest.param(OLLAMA, id="ollama")])
@pytest.mark.parametrize("pause", [0, 1])
def test_every_chunk_of_a_stream_is_seen(provider: Place, dialect: Dialect, pause: int):
    seen = calls(provider, Ask(dialect, pause=pause), FEW, CLOCK)

    assert len(seen.firsts) == FEW.calls
    assert len(seen.lates) == FEW.calls * CHUNKS
    assert len(seen.gaps) == FEW.calls * (CHUNKS - 1)
    assert min(*seen.firsts, *seen.lates) > 0


@pytest.mark.parametrize("dialect", [pytest.param(OPENAI, id="openai"), pytest.param(OLLAMA, id="ollama")])
def test_a_whole_answer_has_no_chunks(provider: Place, dialect: Dialect):
    seen = calls(provider, Ask(dialect, streamed=False), FEW, CLOCK)

    assert len(seen.firsts) == FEW.calls
    assert not seen.lates


def test_what_is_not_kept_is_compared_all_the_same(provider: Place):
    seen = calls(provider, Ask(OPENAI), FEW, CLOCK, keeps=False)

    assert not seen.firsts
    assert seen.seconds > 0


def test_a_pause_lies_between_chunks(provider: Place):
    seen = calls(provider, Ask(OPENAI, chunks=20, pause=10), Kind(1, 1, pause=10), CLOCK)

    assert sum(seen.gaps) > 0.15  # 19 pauses; a timer may be a little early


def piece(text: str) -> bytes:
    return f"{len(text):x}\r\n{text}\r\n".encode()


def chunk(number: int) -> bytes:
    return piece(f'data: {{"choices": [{{"delta": {{"content": "{stamp(number, 1.0)}"}}}}]}}\n\n')


@contextmanager
def answering(answer: bytes) -> Iterator[Place]:
    """A server that answers so and hangs up."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1 << 16)
            self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Place(server.server_address[1], "token")
        finally:
            server.shutdown()
            thread.join()


USAGE = piece('data: {"usage": {"completion_tokens": 2}}\n\n')
DONE = piece("data: [DONE]\n\n") + b"0\r\n\r\n"
ASK = Ask(OPENAI, chunks=2)


def called(answer: bytes, ask: Ask = ASK) -> Seen:
    with answering(answer) as place:
        return calls(place, ask, Kind(1, 1), CLOCK)


def test_the_right_answer_is_right():
    assert len(called(STREAM + chunk(0) + chunk(1) + USAGE + DONE).lates) == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(STREAM + chunk(0) + USAGE + DONE, "1 chunks of 2 came", id="a chunk is missing"),
        pytest.param(STREAM + chunk(1) + chunk(0) + USAGE + DONE, "chunk 1 came as number 0", id="another order"),
        pytest.param(STREAM + chunk(0) + chunk(0) + USAGE + DONE, "chunk 0 came as number 1", id="a chunk twice"),
        pytest.param(STREAM + chunk(0) + chunk(1) + DONE, "no .*completion_tokens", id="no usage"),
        pytest.param(STREAM + chunk(0) + chunk(1) + USAGE + b"0\r\n\r\n", "no .*DONE", id="no end"),
        pytest.param(STREAM + chunk(0) + chunk(1), "closed before its answer was whole", id="cut off"),
        pytest.param(b"HTTP/1.1 429 No\r\ncontent-length: 2\r\n\r\nno", "answered 429 b'no'", id="a refusal"),
        pytest.param(STREAM + b"what?\r\n", "invalid", id="a chunk without a size"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", "without a length", id="no length"),
    ],
)
def test_one_wrong_answer_is_a_failure(answer: bytes, message: str):
    with pytest.raises(LoadFailed, match=message):
        called(answer)


def test_another_text_is_a_failure():
    body = b'{"choices": [{"message": {"content": "word wird"}}], "usage": {"completion_tokens": 2}}'
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
    ask = replace(ASK, streamed=False)

    with pytest.raises(LoadFailed, match=words(2)):
        called(head % len(body) + body, ask)
    assert called(head % len(body) + body.replace(b"wird", b"word"), ask).firsts


def test_nobody_there_is_a_failure():
    with pytest.raises(LoadFailed, match="cannot connect"):
        calls(Place(free_port(), "token"), ASK, Kind(1, 1), CLOCK)
