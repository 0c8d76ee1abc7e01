"""Calls to one service of another process of ours: a message for a message, over mutual TLS or a Unix socket."""

from typing import Any

import grpc
from google.protobuf.message import Message

from service_kit.credentials import Certificates, Credentials
from service_kit.endpoint import Endpoint
from service_kit.subscription import channel


class PeerCalls:
    """The connection is made with the first call, and anew where other certificates count."""

    def __init__(self, service: str, endpoint: Endpoint, tls: Certificates | None, *, longest: float) -> None:
        self.endpoint = endpoint
        self._service = service
        self._tls = tls
        # Seconds that a call may take.
        self._longest = longest
        self._channel: grpc.aio.Channel | None = None
        self._used: Credentials | None = None

    # Any: of the response's type
    async def call(self, method: str, request: Message, response: type[Message]) -> Any:
        """The answer; AioRpcError where there is none."""
        call: grpc.aio.UnaryUnaryMultiCallable[Message, Message] = (await self._connected()).unary_unary(
            f"/{self._service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return await call(request, timeout=self._longest)

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()

    async def _connected(self) -> grpc.aio.Channel:
        current = None if self._tls is None else self._tls.current()
        if self._channel is not None and current is self._used:
            return self._channel
        old, opened = self._channel, channel(self.endpoint, current)
        self._channel, self._used = opened, current  # first: who asks meanwhile gets it
        if old is not None:
            await old.close(self._longest)  # calls under way end first
        return opened
