"""`python -m bench.llm.provider PORT`: a model server that thinks nothing, in OpenAI's and in Ollama's language.

What it answers stands in the prompt (bench.llm.asks), but for the time in each chunk. It serves all variants and is
not counted; a chunk is one write, as a model makes one token after another.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import uvloop

from bench.llm.asks import ASKED, STREAMED, stamp, words
from bench.llm.messages import MessageReader
from service_kit.clock import Clock, SystemClock
from service_kit.serve import stop_signal

MILLISECONDS = 1e-3
PROMPT_TOKENS = 300
# Of every chunk: which one is never looked at.
CREATED = 1_780_000_000
CREATED_TEXT = "2026-06-01T00:00:00.000000Z"


@dataclass(frozen=True)
class Language:
    """How answers are written; each text gets a count of tokens, or the text of a chunk."""

    begins: str
    chunk: str
    ends: str
    whole: str
    stream_type: str

    def end(self, chunks: int) -> str:
        return self.ends % _counts(chunks)

    def all(self, chunks: int) -> str:
        return self.whole % {"text": words(chunks), **_counts(chunks)}


def _counts(chunks: int) -> dict[str, int]:
    return {"chunks": chunks, "prompt": PROMPT_TOKENS, "all": chunks + PROMPT_TOKENS}


_USAGE = '"usage":{"prompt_tokens":%(prompt)d,"completion_tokens":%(chunks)d,"total_tokens":%(all)d}'
_SSE = f'data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":{CREATED},"model":"bench",'
_OF_OPENAI = Language(
    begins=_SSE + '"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n',
    chunk=_SSE + '"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n',
    ends=_SSE + '"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    + _SSE + '"choices":[],' + _USAGE + "}\n\ndata: [DONE]\n\n",
    whole=f'{{"id":"chatcmpl-1","object":"chat.completion","created":{CREATED},"model":"bench","choices":[{{"index":0,'
    '"message":{"role":"assistant","content":"%(text)s"},"finish_reason":"stop"}],' + _USAGE + "}",
    stream_type="text/event-stream",
)  # fmt: skip
_NDJSON = f'{{"model":"bench","created_at":"{CREATED_TEXT}","message":{{"role":"assistant","content":'
_DONE = (
    '"done":true,"done_reason":"stop","total_duration":5000000,"load_duration":1000000,"prompt_eval_count":%(prompt)d,'
    '"prompt_eval_duration":1000000,"eval_count":%(chunks)d,"eval_duration":3000000}'
)
_OF_OLLAMA = Language(
    begins="",
    chunk=_NDJSON + '"%s"},"done":false}\n',
    ends=_NDJSON + '""},' + _DONE + "\n",
    whole=_NDJSON + '"%(text)s"},' + _DONE,
    stream_type="application/x-ndjson",
)
_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: {type}\r\n{length}\r\n\r\n"
_LAST = b"0\r\n\r\n"


class Answering(asyncio.Protocol):
    """One connection, one call at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._reader = MessageReader()
        self._request = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of asyncio's shape, not of its classes
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        _ = exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._request += self._reader.receive(data)
        if self._reader.whole:
            head, body = self._reader.head, self._request
            self._reader, self._request = MessageReader(), b""
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        language = _OF_OLLAMA if b" /api/" in head.partition(b"\r\n")[0] else _OF_OPENAI
        asked = ASKED.search(body)
        chunks, pause = (int(asked[1]), int(asked[2])) if asked else (1, 0)
        if STREAMED.search(body):
            self._stream(language, chunks, pause * MILLISECONDS)
        else:
            text = language.all(chunks)
            self._write(_HEAD.format(type="application/json", length=f"content-length: {len(text)}").encode())
            self._write(text.encode())

    def _stream(self, language: Language, chunks: int, pause: float) -> None:
        self._write(_HEAD.format(type=language.stream_type, length="transfer-encoding: chunked").encode())
        if language.begins:
            self._write(_piece(language.begins))
        start = self._loop.time()

        def send(number: int) -> None:
            if self._transport is None:
                return
            if number == chunks:
                self._write(_piece(language.end(chunks)) + _LAST)
                return
            self._write(_piece(language.chunk % stamp(number, self._clock.monotonic())))
            self._later(start + (number + 1) * pause if pause else None, lambda: send(number + 1))

        send(0)

    def _later(self, when: float | None, then: Callable[[], None]) -> None:
        if when is None:
            self._loop.call_soon(then)
        else:
            self._loop.call_at(when, then)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _piece(text: str) -> bytes:
    return f"{len(text):x}\r\n{text}\r\n".encode()


async def serve(port: int) -> None:
    """Until SIGTERM."""
    loop, clock = asyncio.get_running_loop(), SystemClock()
    server = await loop.create_server(lambda: Answering(loop, clock), "127.0.0.1", port)
    await stop_signal()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
