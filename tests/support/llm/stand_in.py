"""A server that stands in for a model's: which script an answer follows, which models there are, when it is up."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, Self

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.support.asgi_server import asgi_server
from tests.support.eventually import until
from tests.support.llm.calls import Answer, Call, Outcome
from tests.support.llm.catalog import Model
from tests.support.llm.delivery import Content, Delivery, Failure, Stream
from tests.support.llm.script import Fault, Script
from tests.support.ports import free_port

# A request can name the script of its answer, of those that were given a name.
SCRIPT = "x-script"
Endpoint = Callable[[Call, Request], tuple[Script, Content]]


class Refused(Exception):  # noqa: N818 - an answer of the API, not a fault of the program
    """The answer is an error, because of the request or because of its script."""

    def __init__(self, fault: Fault, param: str | None = None, *, is_plain: bool = False) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.param = param
        # The message as plain text, in no API's shape.
        self.is_plain = is_plain


class StandIn:
    """Serves in a thread of its own between start() and stop(), which can be said again; a test may block."""

    # Of whole answers and errors.
    media_type = "application/json"

    def __init__(self, models: Iterable[Model], *, port: int | None = None, **options: Any) -> None:
        self.port = port or free_port()
        self.scheme = "https" if "ssl_certfile" in options else "http"
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        self.calls: list[Call] = []
        self.default = Script()
        self._models = {model.name: model for model in models}
        self._queue: deque[Script] = deque()
        self._by_model: dict[str, Script] = {}
        self._by_name: dict[str, Script] = {}
        self._by_path: dict[str, Script] = {}
        self._options = options
        self._serving = ExitStack()
        self._connections: dict[tuple[str, int], asyncio.Transport] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopping = False

    # What a test says.

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        """On the same port as before."""
        self._is_stopping = False
        options = {"timeout_keep_alive": 600, "access_log": False, "proxy_headers": False, **self._options}
        app = Starlette(routes=self.routes())
        self._serving.enter_context(asgi_server(app, self.port, http=self._protocol(), **options))

    def stop(self) -> None:
        """Every connection ends at once, whatever was being said on it; a second stop does nothing."""
        self._is_stopping = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hang_up)
        self._serving.close()

    def plays(self, *scripts: Script) -> None:
        """The next answers, one script each; models' listings and the like do not count."""
        self._queue.extend(scripts)

    def plays_always(
        self, script: Script, *, model: str | None = None, name: str | None = None, path: str | None = None
    ) -> None:
        """For every answer, or those of a model, of a path, or to requests whose `x-script` header has the name."""
        for key, table in ((model, self._by_model), (name, self._by_name), (path, self._by_path)):
            if key is not None:
                table[key] = script
        if model is None and name is None and path is None:
            self.default = script

    def forget(self) -> None:
        """Calls and scripts, not models: for a server that several tests share."""
        self.default = Script()
        for known in (self.calls, self._queue, self._by_model, self._by_name, self._by_path):
            known.clear()

    def add(self, model: Model) -> None:
        self._models[model.name] = model

    def remove(self, name: str) -> None:
        del self._models[name]

    @property
    def models(self) -> tuple[Model, ...]:
        return tuple(self._models.values())

    @property
    def answers(self) -> list[Answer]:
        """Those of calls that a model was asked something by, be it one that there is not."""
        return [call.answer for call in self.calls if call.model is not None]

    def settled(self, number: int = 1) -> list[Answer]:
        """The answers, once so many have ended in whatever way."""
        until(lambda: sum(answer.outcome is not Outcome.PENDING for answer in self.answers) >= number, seconds=30)
        return self.answers

    # What an API's server says.

    def routes(self) -> list[Route]:
        raise NotImplementedError

    def error(self, request: Request, refused: Refused) -> bytes:
        """The error in the shape of the API that was asked."""
        raise NotImplementedError

    def headers(self) -> dict[str, str]:
        """Of every answer."""
        return {}

    def route(self, path: str, endpoint: Endpoint, *methods: str) -> Route:
        async def respond(request: Request) -> ASGIApp:
            call = await self._received(request)
            if call.answer.client_left:
                return Response()  # nobody gets it
            try:
                script, content = endpoint(call, request)
                if script.fault is not None:
                    content = self._failure(request, Refused(script.fault))
            except Refused as refused:
                script, content = Script(), self._failure(request, refused)
            broken = self._failure(request, Refused(Fault(500)))
            call.answer.streamed = isinstance(content, Stream)
            return Delivery(content, script, call.answer, self._connections, self.headers(), broken)

        return Route(path, respond, methods=list(methods) or ["POST"])

    def script_of(self, call: Call) -> Script:
        """Of a call to a model: by its header, by its path, the next in the queue, by its model, the default."""
        named = call.headers.get(SCRIPT)
        if named is not None:
            return self._by_name[named]
        if call.path in self._by_path:
            return self._by_path[call.path]
        if self._queue:
            return self._queue.popleft()
        return self._by_model.get(call.model or "", self.default)

    def script_of_path(self, call: Call) -> Script:
        """Of any other call."""
        return self._by_path.get(call.path, Script())

    # How it is served.

    async def _received(self, request: Request) -> Call:
        raw_path = request.scope["raw_path"].decode()
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.method, raw_path, request.url.query, headers)
        self.calls.append(call)
        try:
            call.raw = await request.body()
        except ClientDisconnect:
            call.answer.end(Outcome.LEFT)
        return call

    def _failure(self, request: Request, refused: Refused) -> Failure:
        fault = refused.fault
        if refused.is_plain:
            return Failure(fault.status, fault.message.encode(), fault.headers, "text/plain")
        return Failure(fault.status, self.error(request, refused), fault.headers, self.media_type)

    def _hang_up(self) -> None:
        for connection in list(self._connections.values()):
            connection.abort()

    def _protocol(self) -> type[H11Protocol]:
        """Uvicorn's, whose connections can be ended in the middle of an answer."""
        stand_in = self

        class Protocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
                super().connection_made(transport)
                if self.client is not None:
                    stand_in._connections[self.client] = transport
                stand_in._loop = asyncio.get_running_loop()
                if stand_in._is_stopping:
                    transport.abort()

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    stand_in._connections.pop(self.client, None)
                super().connection_lost(exc)

        return Protocol
