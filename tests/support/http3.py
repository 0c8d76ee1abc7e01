"""A client of HTTP/3: one connection a request."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent

DEADLINE = 5.0


class NoHttp3(Exception):  # noqa: N818 - reads as what it reports
    """The server did not let us in."""


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


class _Client(QuicConnectionProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._http = H3Connection(self._quic)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""
        self._ended = asyncio.Event()
        self._refusal: str | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated):
            self._refusal = event.reason_phrase
            self._ended.set()
        for item in self._http.handle_event(event):
            self._take(item)

    def _take(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            self._headers = event.headers
        if isinstance(event, DataReceived):
            self._body += event.data
        if isinstance(event, HeadersReceived | DataReceived) and event.stream_ended:
            self._ended.set()

    async def ask(self, authority: str, path: str, headers: Mapping[str, str]) -> Response:
        stream = self._quic.get_next_available_stream_id()
        pseudo = {":method": "GET", ":scheme": "https", ":authority": authority, ":path": path}
        sent = [(name.encode(), value.encode()) for name, value in {**pseudo, **headers}.items()]
        self._http.send_headers(stream, sent, end_stream=True)
        self.transmit()
        await self._ended.wait()
        if self._refusal is not None:
            raise NoHttp3(self._refusal)
        received = {name.decode(): value.decode() for name, value in self._headers}
        return Response(int(received[":status"]), received, self._body)


async def get(
    port: int,
    path: str,
    *,
    authority: str,
    headers: Mapping[str, str] | None = None,
    certificate: tuple[Path, Path] | None = None,
) -> Response:
    """GET on localhost, whose certificate this authority (PEM) must have signed; NoHttp3 where it refuses us."""
    quic = QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, server_name="localhost", verify_mode=ssl.CERT_REQUIRED
    )
    quic.load_verify_locations(cadata=authority.encode())
    if certificate is not None:
        quic.load_cert_chain(*certificate)
    try:
        async with (
            asyncio.timeout(DEADLINE),
            connect("127.0.0.1", port, configuration=quic, create_protocol=_Client) as client,
        ):
            return await client.ask(f"localhost:{port}", path, headers or {})
    except (TimeoutError, ConnectionError) as error:
        raise NoHttp3(str(error)) from error
