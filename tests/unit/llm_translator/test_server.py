"""Streams over real gRPC: how each ends, what is counted, and what is not logged."""

import io
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc_pb
from prometheus_client import CollectorRegistry

from llm_translator import session as sessions
from llm_translator.main import translation_handler
from llm_translator.server import METHOD
from service_kit.log import configure_logs
from tests.support.eventually import eventually
from tests.support.translation import METADATA

PAIR = {"dialect": "openai", "provider": "ollama-native"}
ASKED = b'{"model":"m","messages":[{"role":"user","content":"a secret"}],"stream":true}'


class Served:
    def __init__(self, call: grpc.aio.StreamStreamMultiCallable) -> None:
        self.registry = CollectorRegistry()
        self.log = io.StringIO()
        self.call = call

    def counted(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("tollgate_translator_calls_total", {**PAIR, "outcome": outcome})

    def open(self) -> float | None:
        return self.registry.get_sample_value("tollgate_translator_open_streams")


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    server, at = grpc.aio.server(), f"unix:{tmp_path}/t.sock"
    server.add_insecure_port(at)
    async with grpc.aio.insecure_channel(at) as channel:
        found = Served(channel.stream_stream(METHOD))
        log = configure_logs("translator", level="debug", stream=found.log)
        server.add_generic_rpc_handlers((translation_handler(found.registry, log),))
        await server.start()
        yield found
        await server.stop(None)


def request(body: bytes = ASKED) -> list[bytes]:
    head = ext_proc_pb.HttpHeaders()
    head.headers.headers.add(key=":path", raw_value=b"/v1/chat/completions")
    return [
        ext_proc_pb.ProcessingRequest(request_headers=head).SerializeToString(),
        part("request_body", body, ends=True),
    ]


def answer_head() -> bytes:
    head = ext_proc_pb.HttpHeaders()
    head.headers.headers.add(key=":status", raw_value=b"200")
    head.headers.headers.add(key="content-type", raw_value=b"application/x-ndjson")
    return ext_proc_pb.ProcessingRequest(response_headers=head).SerializeToString()


def part(kind: str, data: bytes, *, ends: bool = False) -> bytes:
    return ext_proc_pb.ProcessingRequest(**{kind: {"body": data, "end_of_stream": ends}}).SerializeToString()


async def status(served: Served, messages: Iterable[bytes], metadata=METADATA) -> grpc.StatusCode:
    """How a stream ends after which Envoy says no more."""
    stream = served.call(metadata=metadata)
    for message in messages:
        await stream.write(message)
    await stream.done_writing()
    with suppress(grpc.aio.AioRpcError):
        while await stream.read() is not grpc.aio.EOF:
            pass
    return await stream.code()


LINE = b'{"message":{"content":"an answer"},"done":false}\n'
LAST = b'{"message":{"content":""},"done":true,"done_reason":"stop"}\n'


async def test_a_stream_ends_well_behind_the_end_of_its_answer(served):
    messages = [*request(), answer_head(), part("response_body", LINE), part("response_body", LAST, ends=True)]

    assert await status(served, messages) is grpc.StatusCode.OK
    assert (served.counted("translated"), served.open()) == (1, 0)


@pytest.mark.parametrize("said", range(5))
async def test_a_stream_that_ends_before_is_aborted(served, said):
    messages = [*request(), answer_head(), part("response_body", LINE), part("response_body", LAST)][:said]

    assert await status(served, messages) is grpc.StatusCode.ABORTED
    assert (served.counted("cut"), served.open()) == (1, 0)


async def test_a_stream_that_was_refused_ends_well(served):
    assert await status(served, request(b"{")) is grpc.StatusCode.OK
    assert served.counted("refused") == 1
    assert '"code": "invalid_json"' in served.log.getvalue()


async def test_what_envoy_would_not_say_is_aborted(served):
    assert await status(served, [b"\xff"]) is grpc.StatusCode.ABORTED
    assert (served.counted("failed"), served.open()) == (1, 0)


async def test_a_fault_is_aborted_and_logged_without_what_was_said(served, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(sessions, "_sent", broken)

    assert await status(served, request()) is grpc.StatusCode.ABORTED
    assert served.counted("failed") == 1
    assert "RuntimeError" in served.log.getvalue()
    assert "a secret" not in served.log.getvalue()


async def test_a_call_of_no_known_pair_is_aborted(served):
    assert await status(served, [], ()) is grpc.StatusCode.INVALID_ARGUMENT
    assert served.registry.get_sample_value("tollgate_translator_misdirected_total") == 1


async def test_who_leaves_is_counted(served):
    stream = served.call(metadata=METADATA)
    for message in request():
        await stream.write(message)
    await stream.read()
    assert served.open() == 1

    stream.cancel()

    await eventually(lambda: served.open() == 0)
    assert served.counted("cut") == 1


async def test_no_log_has_what_was_said(served):
    await status(
        served, [*request(), answer_head(), part("response_body", LINE), part("response_body", LAST, ends=True)]
    )

    assert '"outcome": "translated"' in served.log.getvalue()
    assert "a secret" not in served.log.getvalue()
    assert "an answer" not in served.log.getvalue()
