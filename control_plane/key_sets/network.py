"""The only way in which key sets come over the network: to an address that was looked at, and to no other.

A name is resolved once, and the address that was judged is the one that is connected to: a name that resolves to
something else a moment later changes nothing. TLS still asks for a certificate of the name.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Final

import httpcore

from service_kit.public_address import Address, why_never, why_not_public

# Addresses of a name, for a host and a port; OSError where it has none.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
# Addresses of one name that are tried.
MOST_ADDRESSES: Final = 4
SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class AddressRefused(Exception):  # noqa: N818 - what happened to it
    """None of a host's addresses may be connected to."""


async def resolved(host: str, port: int) -> Sequence[str]:
    """What the machine's resolver says; never by way of a proxy, which would resolve anew."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to servers on the Internet; where it may be `private`, also to those of one's own network."""

    def __init__(self, *, private: bool, resolve: Resolve = resolved) -> None:
        self._refusal = why_never if private else why_not_public
        self._resolve = resolve
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = AddressRefused(f"{host} has no address")
        for address in await self._allowed(host, port):
            try:
                return await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's signature
        socket_options: Iterable[SocketOption] | None = None,  # noqa: ARG002 - as above
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused(f"{path} is no host")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _allowed(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host that may be connected to; AddressRefused where there is none."""
        try:
            addresses = [ip_address(text) for text in await self._resolve(host, port)]
        except (OSError, UnicodeError) as error:  # the latter for a label that is too long
            raise AddressRefused(f"{host} cannot be resolved") from error
        reasons = {address: self._refusal(address) for address in addresses}
        allowed = [address for address, reason in reasons.items() if reason is None]
        if not allowed:
            refused = ", ".join(f"{address} is {reason}" for address, reason in reasons.items()) or "it has no address"
            raise AddressRefused(f"{host} is not connected to: {refused}")
        return allowed[:MOST_ADDRESSES]
