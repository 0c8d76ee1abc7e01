"""A fake language model, the outermost edge of tests of metered calls: answers in the way that the request names."""

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.asgi_server import asgi_server
from tests.support.ports import free_port

# How it answers: the request's header of this name.
ANSWER = "x-answer"
USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 30,
    "total_tokens": 42,
    "prompt_tokens_details": {"cached_tokens": 5},
}
ODD_USAGE = {"prompt_tokens": -3, "completion_tokens": 5_000_000_000, "total_tokens": "55"}
# Bytes of an event that says something, where a stream goes on until its client is gone.
WORDS = b'data: {"choices":[{"delta":{"content":"ten words of a story that nobody will hear the end of"}}]}\n\n'
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'


class Model:
    """The server, and what has arrived there."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        # At which "gated" answers wait.
        self.gate = threading.Event()


@contextmanager
def running_model() -> Iterator[Model]:
    """Serves beside the test, which may block."""
    port = free_port()
    model = Model(port)
    with asgi_server(_app(model), port):
        try:
            yield model
        finally:
            model.gate.set()


def _app(model: Model) -> Starlette:
    async def answer(request: Request) -> Response:
        model.bodies.append(await request.json())
        model.headers.append(dict(request.headers))
        if request.headers.get(ANSWER) == "gated":
            await asyncio.to_thread(model.gate.wait)
        return ANSWERS[request.headers.get(ANSWER, "json")](model.bodies[-1])

    return Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])


def _json(usage: Any) -> Response:
    return JSONResponse({"choices": [{"message": {"content": "hello"}}], "usage": usage})


def _zipped() -> Response:
    body = gzip.compress(json.dumps({"usage": USAGE}).encode())
    return Response(body, media_type="application/json", headers={"content-encoding": "gzip"})


def _events(*events: bytes, pause: float = 0.01) -> Response:
    """Each event by itself: in the middle of one that is cut, a chunk ends."""

    async def chunks() -> AsyncIterator[bytes]:
        for event in events:
            yield event
            await asyncio.sleep(pause)

    return StreamingResponse(chunks(), media_type="text/event-stream")


def _told() -> tuple[bytes, bytes]:
    event = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
    return event[:40], event[40:]


def _asked(body: dict[str, Any]) -> Response:
    """Tells its usage only where it is asked to, as OpenAI does."""
    asked = (body.get("stream_options") or {}).get("include_usage")
    return _events(WORDS, FINISH, *(_told() if asked else ()), b"data: [DONE]\n\n")


ANSWERS = {
    "json": lambda _body: _json(USAGE),
    "gated": lambda _body: _json(USAGE),
    "odd": lambda _body: _json(ODD_USAGE),
    "untold": lambda _body: JSONResponse({"choices": []}),
    "ollama": lambda _body: JSONResponse({"done": True, "prompt_eval_count": 7, "eval_count": 9}),
    "zipped": lambda _body: _zipped(),
    "failed": lambda _body: JSONResponse({"error": "out of memory"}, 500),
    "events": _asked,
    "silent events": lambda _body: _events(WORDS, b"data: [DONE]\n\n"),
    "endless events": lambda _body: _events(*[WORDS] * 1000, pause=0.05),
}
