"""One answer of a server that somebody else runs: 200 with a plain body of bounded size, or there is none.

No redirect is followed, nothing is unpacked, and proxies of the environment are not used.

Errors: Unavailable
"""

import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpcore

OK: Final = 200
REDIRECTS: Final = range(300, 400)
PLAIN_HEADERS: Final = ((b"accept-encoding", b"identity"), (b"user-agent", b"tollgate"))
FAILURES: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    ssl.SSLError,
    OSError,
)


class Unavailable(Exception):  # noqa: N818 - what it is, for now
    """There is no usable answer; the message says why, and quotes nothing of it."""


async def answer(
    pool: httpcore.AsyncConnectionPool,
    url: str,
    headers: Sequence[tuple[bytes, bytes]],
    *,
    largest: int,
    content: bytes | None = None,
    extensions: Mapping[str, Any] | None = None,  # Any: httpcore's, of every shape
) -> bytes:
    """The body that GET of the URL answers, or POST of `content`; Unavailable, and what FAILURES has."""
    async with pool.stream(
        "GET" if content is None else "POST",
        url,
        headers=(*headers, *PLAIN_HEADERS),
        content=content,
        extensions=None if extensions is None else dict(extensions),
    ) as response:
        _check_head(response, url)
        body = bytearray()
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > largest:
                raise Unavailable(f"{shown(url)} answers with more than {largest} bytes")
        return bytes(body)


def shown(url: str) -> str:
    """The URL without its query, in which some write keys."""
    return url.partition("?")[0]


def _check_head(response: httpcore.Response, url: str) -> None:
    if response.status in REDIRECTS:
        raise Unavailable(f"{shown(url)} redirects, which is not followed: name where it leads to")
    if response.status != OK:
        raise Unavailable(f"{shown(url)} answers {response.status}")
    encodings = [value for name, value in response.headers if name.lower() == b"content-encoding"]
    if any(value.lower() != b"identity" for value in encodings):
        raise Unavailable(f"{shown(url)} answers packed, though it was asked not to")
