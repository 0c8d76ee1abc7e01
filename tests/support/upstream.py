"""A fake upstream, the outermost edge of end-to-end tests: echoes, fails, waits, streams and upgrades on request."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.support.asgi_server import asgi_server
from tests.support.ports import free_port


class Upstream:
    """The server on its port, and the gate at which its streams wait."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.gate = threading.Event()
        self.calls = 0
        # What every path answers, instead of echoing, while it is set.
        self.status: int | None = None
        self.served = 0


@contextmanager
def running_upstream(port: int | None = None, *, host: str = "127.0.0.1", **tls: Any) -> Iterator[Upstream]:
    """Serves beside the test, which may block; `tls` are the `ssl_` options of uvicorn."""
    upstream = Upstream(port or free_port(), "https" if tls else "http")
    with asgi_server(_app(upstream), upstream.port, host=host, ws="websockets-sansio", **tls):
        try:
            yield upstream
        finally:
            upstream.gate.set()


def _app(upstream: Upstream) -> Starlette:
    async def echo(request: Request) -> Response:
        upstream.served += 1
        if upstream.status is not None:
            return JSONResponse({"from": upstream.port}, upstream.status)
        body = await request.body()
        return JSONResponse(
            {
                "method": request.method,
                "path": request.scope["raw_path"].decode(),
                "query": request.url.query,
                "headers": [[name.decode(), value.decode("latin-1")] for name, value in request.headers.raw],
                "bytes": len(body),
                "body": body.decode("latin-1"),
                "port": upstream.port,
            }
        )

    async def status(request: Request) -> Response:
        return JSONResponse({"from": "upstream"}, request.path_params["code"])

    async def silent(request: Request) -> Response:
        await asyncio.sleep(request.path_params["seconds"])
        return JSONResponse({"late": True})

    async def counted(request: Request) -> Response:
        """Says how often it was called, with the headers that the query names."""
        upstream.calls += 1
        told = {"calls": upstream.calls, "path": request.url.path, "headers": dict(request.headers)}
        return JSONResponse(told, headers=dict(request.query_params))

    async def stream(_request: Request) -> Response:
        async def chunks() -> AsyncIterator[str]:
            yield "data: first\n\n"
            await asyncio.to_thread(upstream.gate.wait)
            yield "data: last\n\n"

        return StreamingResponse(chunks(), media_type="text/event-stream")

    async def websocket(socket: WebSocket) -> None:
        upstream.served += 1
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(f"echo: {text}")

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Starlette(
        routes=[
            Route("/status/{code:int}", status, methods=methods),
            Route("/silent/{seconds:float}", silent),
            Route("/stream", stream),
            Route("/counted/{path:path}", counted),
            WebSocketRoute("/ws", websocket),
            Route("/{path:path}", echo, methods=methods),
        ]
    )
