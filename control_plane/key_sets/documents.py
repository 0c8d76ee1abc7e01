"""Fetches one small document from a server that somebody else runs, and trusts it with nothing.

The answer is 200 with a plain body of bounded size in bounded time, or there is none.
"""

import asyncio
import ssl
from typing import Final, Protocol
from urllib.parse import urlsplit

import httpcore

from control_plane.config.values.base import Mistake
from control_plane.config.values.network import published_url
from control_plane.key_sets.network import AddressRefused, GuardedNetwork, Resolve, resolved
from control_plane.polling.answers import FAILURES, Unavailable, answer, shown
from service_kit.verification_keys import LARGEST_SET

LARGEST_DOCUMENT: Final = LARGEST_SET
# Seconds for all of one document: the name, the connection, every byte of the answer.
LONGEST_FETCH: Final = 5.0
HEADERS: Final = (
    (b"accept", b"application/json, application/jwk-set+json"),
    (b"connection", b"close"),
)


class Documents(Protocol):
    """Where documents come from."""

    async def fetch(self, url: str, *, private: bool) -> bytes:
        """The document; Unavailable. Where it may be `private`, also from a network of one's own, over plain http."""
        ...


class PublishedDocuments:
    """Documents from the network, verified by the authorities of this machine (`SSL_CERT_FILE` names others)."""

    def __init__(self, resolve: Resolve = resolved, *, longest: float = LONGEST_FETCH) -> None:
        self._resolve = resolve
        self._longest = longest

    async def fetch(self, url: str, *, private: bool) -> bytes:
        """As Documents has it."""
        check_url(url, private=private)
        try:
            async with asyncio.timeout(self._longest):
                return await self._fetched(url, private=private)
        except TimeoutError as error:
            raise Unavailable(f"{shown(url)} does not answer in {self._longest:g} s") from error
        except AddressRefused as error:
            raise Unavailable(str(error)) from error
        except FAILURES as error:
            raise Unavailable(f"{shown(url)} cannot be fetched: {error or type(error).__name__}") from error

    async def _fetched(self, url: str, *, private: bool) -> bytes:
        network = GuardedNetwork(private=private, resolve=self._resolve)
        # Made anew, so that authorities that were replaced count at once; reading them takes a while.
        context = await asyncio.to_thread(ssl.create_default_context)
        headers = ((b"host", urlsplit(url).netloc.encode()), *HEADERS)
        async with httpcore.AsyncConnectionPool(ssl_context=context, network_backend=network) as pool:
            return await answer(pool, url, headers, largest=LARGEST_DOCUMENT)


def check_url(url: str, *, private: bool) -> None:
    """Unavailable where nothing is fetched from such a URL, which another document may have named."""
    try:
        encrypted = published_url(url).encrypted
    except Mistake as mistake:
        raise Unavailable(mistake.message if mistake.value is None else str(mistake)) from mistake
    if not encrypted and not private:
        raise Unavailable(f"{shown(url)} is plain http: whoever is on the way could put keys in its place")
