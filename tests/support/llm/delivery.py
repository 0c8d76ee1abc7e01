"""How an answer goes out: token by token at the pace and through the gates of its script, watched for who leaves."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from tests.support.llm.calls import Answer, Outcome
from tests.support.llm.script import BEFORE_HEAD, Script

LOOK = 0.003
LINGER = struct.pack("ii", 1, 0)  # closing drops what waits, and resets
Connections = Mapping[tuple[str, int], asyncio.Transport]


@dataclass(frozen=True)
class Frame:
    """Bytes that go out together, once their tokens are made; `is_hidden` are tokens that the bytes do not show."""

    data: bytes
    tokens: int = 0
    is_hidden: bool = False


@dataclass(frozen=True)
class Stream:
    """An answer in pieces; `failure` is how the API tells of an error in the middle."""

    frames: Iterator[Frame]
    media_type: str
    failure: bytes
    # Whether the head goes out before the first token is made.
    is_head_first: bool = False


@dataclass(frozen=True)
class Whole:
    """An answer in one piece, made when all its tokens are; `tokens` are shown in it, `hidden` are not."""

    body: Callable[[], bytes]
    tokens: int = 0
    hidden: int = 0
    media_type: str = "application/json"


@dataclass(frozen=True)
class Failure:
    """An answer that is an error."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    media_type: str = "application/json"


Content = Stream | Whole | Failure


class _Cut(Exception):  # noqa: N818 - what the script asks for
    """The stand-in ends the connection."""


@dataclass
class Delivery:
    """An ASGI application that gives one answer."""

    content: Content
    script: Script
    answer: Answer
    connections: Connections
    headers: Mapping[str, str]
    # Instead of an answer in one piece that breaks.
    broken: Failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        speaking = asyncio.ensure_future(self._speak(_Wire(send, self.answer, self.headers)))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({speaking, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not speaking.done():
                self.answer.end(Outcome.LEFT)
            speaking.cancel()
            leaving.cancel()
        with suppress(asyncio.CancelledError, _Cut):
            await speaking
        if self.answer.outcome is Outcome.CUT:
            await self._end(self.connections.get(tuple(scope["client"])))

    async def _speak(self, wire: "_Wire") -> None:
        await asyncio.sleep(self.script.silence)
        await passed(self.script.gate)
        if self.script.cut == BEFORE_HEAD:
            self._cut()
        if isinstance(self.content, Stream):
            await self._in_pieces(wire, self.content)
        elif isinstance(self.content, Whole):
            await self._in_one(wire, self.content)
        else:
            await self._fail(wire, self.content, Outcome.REFUSED)
        self.answer.end(Outcome.COMPLETE)

    async def _in_pieces(self, wire: "_Wire", content: Stream) -> None:
        if content.is_head_first:
            await wire.head(200, content.media_type)
        for frame in content.frames:
            if self.script.breaks is not None and self.answer.made >= self.script.breaks:
                return await self._break(wire, content)
            if self.script.cut is not None and self.answer.made >= self.script.cut:
                await wire.head(200, content.media_type)
                self._cut()
            await self._make(frame.tokens)
            if frame.data:
                await wire.head(200, content.media_type)
                await wire.say(frame.data)
                self.answer.sent += 0 if frame.is_hidden else frame.tokens
        return await wire.end()

    async def _in_one(self, wire: "_Wire", content: Whole) -> None:
        if self.script.breaks is not None:
            await self._make(self.script.breaks)
            return await self._fail(wire, self.broken, Outcome.BROKEN)
        if self.script.cut is not None:
            await self._make(self.script.cut)
            body = content.body()
            await wire.head(200, content.media_type, {"content-length": str(len(body))})
            await wire.say(body[: len(body) // 2])
            self._cut()
        await self._make(content.tokens + content.hidden)
        await wire.whole(200, content.body(), content.media_type)
        self.answer.sent += content.tokens
        return None

    async def _make(self, tokens: int) -> None:
        """Waits as long as these take to make."""
        for _ in range(tokens):
            await passed(self.script.gates.get(self.answer.made))
            await asyncio.sleep(self.script.pace)
            self.answer.made += 1

    async def _break(self, wire: "_Wire", content: Stream) -> None:
        await wire.head(200, content.media_type)
        await wire.say(content.failure)
        self.answer.end(Outcome.BROKEN)
        await wire.end()

    async def _fail(self, wire: "_Wire", failure: Failure, outcome: Outcome) -> None:
        await wire.whole(failure.status, failure.body, failure.media_type, failure.headers)
        self.answer.end(outcome)

    def _cut(self) -> None:
        self.answer.end(Outcome.CUT)
        raise _Cut

    async def _end(self, connection: asyncio.Transport | None) -> None:
        """What was said goes out before; the server is given the time to see that the connection is gone."""
        if connection is None:
            return
        while connection.get_write_buffer_size() and not connection.is_closing():  # noqa: ASYNC110 - tells nobody
            await asyncio.sleep(LOOK)
        if self.script.reset:
            connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        connection.abort()
        await asyncio.sleep(LOOK)


class _Wire:
    """What goes out, and is written down."""

    def __init__(self, send: Send, answer: Answer, headers: Mapping[str, str]) -> None:
        self._send = send
        self._answer = answer
        self._headers = headers

    async def head(self, status: int, media_type: str, more: Mapping[str, str] | None = None) -> None:
        """Once."""
        if self._answer.status is not None:
            return
        headers = {**self._headers, "content-type": media_type, **(more or {})}
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
        )
        self._answer.status = status
        self._answer.first_byte = time.monotonic()

    async def say(self, data: bytes, *, is_last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": not is_last})
        await asyncio.sleep(0)  # the loop sees who has left
        self._answer.bytes_sent += len(data)

    async def end(self) -> None:
        await self.say(b"", is_last=True)

    async def whole(self, status: int, body: bytes, media_type: str, more: Mapping[str, str] | None = None) -> None:
        await self.head(status, media_type, {"content-length": str(len(body)), **(more or {})})
        await self.say(body, is_last=True)


async def passed(gate: threading.Event | None) -> None:
    """Looks again and again: nothing waits on in a thread when the client has left."""
    while gate is not None and not gate.is_set():  # noqa: ASYNC110 - set by another thread
        await asyncio.sleep(LOOK)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
