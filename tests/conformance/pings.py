"""A client that pings: a stream of HTTP/2 by hand, because gRPC's own clients ping once a second at most."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, PingAckReceived
from h2.exceptions import ProtocolError

from service_kit.endpoint import UnixEndpoint


class Pinging:
    """A connection with one gRPC stream on it, and what came of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http2 = H2Connection()
        self._stream = 0
        self.acked = 0
        self.refused = False
        self.responses = 0

    async def open(self, path: str, request: Any) -> None:
        """Opens the stream with its first message; Any: xds-protos has no annotations."""
        self._http2.initiate_connection()
        self._stream = self._http2.get_next_available_stream_id()
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost"}
        self._http2.send_headers(
            self._stream, [*fields.items(), ("content-type", "application/grpc"), ("te", "trailers")]
        )
        body = request.SerializeToString()
        self._http2.send_data(self._stream, struct.pack(">BI", 0, len(body)) + body)
        await self._flush()

    async def ping(self) -> None:
        """One more, unless the server has had enough of them."""
        if not self.refused:
            self._http2.ping(b"are you?")
            await self._flush()

    async def hear(self) -> None:
        """Takes what the server sends, until it closes the connection."""
        try:
            while data := await self._reader.read(65_536):
                for event in self._http2.receive_data(data):
                    self._note(event)
                await self._flush()
        except (ProtocolError, OSError):  # something came after the server's goodbye
            self.refused = True

    def _note(self, event: Event) -> None:
        match event:
            case PingAckReceived():
                self.acked += 1
            case DataReceived():
                self.responses += 1
            case ConnectionTerminated():
                self.refused = True

    async def _flush(self) -> None:
        self._writer.write(self._http2.data_to_send())
        await self._writer.drain()


@asynccontextmanager
async def pinging(at: UnixEndpoint) -> AsyncIterator[Pinging]:
    reader, writer = await asyncio.open_unix_connection(at.path)
    found = Pinging(reader, writer)
    hearing = asyncio.create_task(found.hear())
    try:
        yield found
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        writer.close()
