"""An ASGI app on one socket, inside the event loop of a process that also does other things."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from service_kit.endpoint import Endpoint, listening_socket

# Seconds for which the `date` of answers is right.
SAME_DATE: Final = 1.0


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process stops as a whole, in its own order.

    And without a look at itself ten times a second, which costs an idle process more than all else that it does.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopped = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # of its ticks, one that writes the date
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), SAME_DATE)

    def stop(self) -> None:
        self.should_exit = True
        self._stopped.set()


class HttpServer:
    """Binds at once, so that a taken address is an EndpointError and not a log line; serves until `stop`."""

    def __init__(self, app: ASGIApp, endpoint: Endpoint) -> None:
        self._socket = listening_socket(endpoint)
        self._server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))

    async def serve(self) -> None:
        await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        self._server.stop()
