"""What a service tells its control plane and asks of it, beside the stream by which its policies come."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from service_kit.credentials import Certificates, Credentials
from service_kit.endpoint import Endpoint
from service_kit.subscription import channel
from tollgate_pb.tollgate.policy.v1 import feedback_pb2 as feedback_pb

SERVICE: Final = "tollgate.policy.v1.Feedback"
# Seconds that a call may take.
LONGEST_CALL: Final = 5.0
# Uses in one call.
MOST_USES: Final = 10_000


class Feedback:
    """Calls to the control plane; the connection is made with the first, and anew where other certificates count."""

    def __init__(self, control_plane: Endpoint, tls: Certificates | None) -> None:
        self._control_plane = control_plane
        self._tls = tls
        self._channel: grpc.aio.Channel | None = None
        self._used: Credentials | None = None

    async def keys_used(self, uses: Mapping[str, int]) -> None:
        """Tells when keys were last used, in seconds since the epoch; AioRpcError where nobody listens."""
        told = (feedback_pb.KeyUse(id=key_id, at=at) for key_id, at in uses.items())
        for request in _in_calls(told):
            await self._call("KeysUsed", request, feedback_pb.KeysUsedResponse)

    async def refresh_key_set(self, issuer: str) -> bool:
        """Asks for newer keys of an issuer; whether some are on their way, which nobody knows where nobody answers."""
        request = feedback_pb.RefreshKeySetRequest(issuer=issuer)
        try:
            answer = await self._call("RefreshKeySet", request, feedback_pb.RefreshKeySetResponse)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.refreshed)

    async def _call(self, method: str, request: Message, response: type[Message]) -> Any:  # Any: of the response's type
        call: grpc.aio.UnaryUnaryMultiCallable[Message, Message] = (await self._connected()).unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return await call(request, timeout=LONGEST_CALL)

    async def _connected(self) -> grpc.aio.Channel:
        current = None if self._tls is None else self._tls.current()
        if self._channel is not None and current is self._used:
            return self._channel
        old, opened = self._channel, channel(self._control_plane, current)
        self._channel, self._used = opened, current  # first: who asks meanwhile gets it
        if old is not None:
            await old.close(LONGEST_CALL)  # calls under way end first
        return opened


def _in_calls(uses: Iterator[feedback_pb.KeyUse]) -> Iterator[feedback_pb.KeysUsedRequest]:
    while some := list(islice(uses, MOST_USES)):
        yield feedback_pb.KeysUsedRequest(uses=some)
