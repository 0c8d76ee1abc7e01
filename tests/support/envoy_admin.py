"""A stand-in for the part of Envoy's admin interface that draining needs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service_kit.endpoint import UnixEndpoint
from service_kit.http import HttpServer


class EnvoyAdmin:
    """Says how many requests are in progress, and keeps what was posted."""

    def __init__(self, active: int) -> None:
        self.active = active
        self.posts: list[str] = []
        self.app = Starlette(
            routes=[
                Route("/stats", self._stats),
                Route("/{path}", self._post, methods=["POST"]),
                Route("/{path}/{rest}", self._post, methods=["POST"]),
            ]
        )

    async def _post(self, request: Request) -> PlainTextResponse:
        self.posts.append(str(request.url).removeprefix("http://envoy"))
        return PlainTextResponse("OK\n")

    async def _stats(self, _request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"http.public.downstream_rq_active: {self.active}\n")


@asynccontextmanager
async def envoy_admin(address: UnixEndpoint, *, active: int) -> AsyncIterator[EnvoyAdmin]:
    """The stand-in, serving on a socket."""
    admin = EnvoyAdmin(active)
    server = HttpServer(admin.app, address)
    task = asyncio.create_task(server.serve())
    yield admin
    server.stop()
    await task
