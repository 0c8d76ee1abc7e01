"""Asks processes with the standard library alone: beside an Envoy in a container no package is installed.

Errors: NoAnswer
"""

import asyncio
import http.client
import socket
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

from service_kit.endpoint import UnixEndpoint

ASK_TIMEOUT = 1.0
# Envoy answers on its main thread, which is busy for a moment while it takes a large change.
ADMIN_TIMEOUT = 3.0


class NoAnswer(Exception):  # noqa: N818 - what happened, not a kind of error
    """Nobody listens, or what came back is no HTTP answer of success."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, address: UnixEndpoint) -> None:
        super().__init__("envoy", timeout=ADMIN_TIMEOUT)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ADMIN_TIMEOUT)
        self.sock.connect(str(self._address.path))


def admin_answer(admin: UnixEndpoint, method: str, path: str) -> str:
    """What Envoy's admin interface answers; NoAnswer where it does not, or not with 200."""
    return _answer(UnixConnection(admin), method, path, str(admin))


def answer_of(url: str) -> str:
    """What is answered to `GET` of an http:// URL; NoAnswer where nothing is, or not with 200. No proxy is asked."""
    parts = _parts(url)
    if parts is None or parts.scheme != "http" or parts.hostname is None:
        raise NoAnswer(f"{url!r} is no address to ask: write http://HOST:PORT/PATH")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _answer(http.client.HTTPConnection(parts.hostname, parts.port, timeout=ASK_TIMEOUT), "GET", path, url)


def _parts(url: str) -> SplitResult | None:
    """The parts of a URL; None where its host or port is none, which `urlsplit` says only when they are asked for."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _answer(connection: http.client.HTTPConnection, method: str, path: str, asked: str) -> str:
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{asked} gives no answer: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise NoAnswer(f"{asked} answers {response.status} {response.reason}")
    return body


async def accepts(address: UnixEndpoint) -> bool:
    """Whether somebody accepts connections at the address."""
    try:
        _reader, writer = await asyncio.open_unix_connection(str(address.path))
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
