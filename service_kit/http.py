"""An ASGI app on one socket, inside the event loop of a process that also does other things."""

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from service_kit.endpoint import Endpoint, listening_socket


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process stops as a whole, in its own order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Binds at once, so that a taken address is an EndpointError and not a log line; serves until `stop`."""

    def __init__(self, app: ASGIApp, endpoint: Endpoint) -> None:
        self._socket = listening_socket(endpoint)
        self._server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))

    async def serve(self) -> None:
        await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        self._server.should_exit = True
