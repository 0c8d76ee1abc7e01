"""What a service tells its control plane and asks of it, beside the stream by which its policies come."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

import grpc

from service_kit.credentials import Certificates
from service_kit.endpoint import Endpoint
from service_kit.peer_calls import PeerCalls
from tollgate_pb.tollgate.policy.v1 import feedback_pb2 as feedback_pb

SERVICE: Final = "tollgate.policy.v1.Feedback"
# Seconds that a call may take.
LONGEST_CALL: Final = 5.0
# Uses in one call.
MOST_USES: Final = 10_000


class Feedback:
    """Calls to the control plane; the connection is made with the first, and anew where other certificates count."""

    def __init__(self, control_plane: Endpoint, tls: Certificates | None) -> None:
        self._peer = PeerCalls(SERVICE, control_plane, tls, longest=LONGEST_CALL)

    async def keys_used(self, uses: Mapping[str, int]) -> None:
        """Tells when keys were last used, in seconds since the epoch; AioRpcError where nobody listens."""
        told = (feedback_pb.KeyUse(id=key_id, at=at) for key_id, at in uses.items())
        for request in _in_calls(told):
            await self._peer.call("KeysUsed", request, feedback_pb.KeysUsedResponse)

    async def refresh_key_set(self, issuer: str) -> bool:
        """Asks for newer keys of an issuer; whether some are on their way, which nobody knows where nobody answers."""
        request = feedback_pb.RefreshKeySetRequest(issuer=issuer)
        try:
            answer = await self._peer.call("RefreshKeySet", request, feedback_pb.RefreshKeySetResponse)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.refreshed)


def _in_calls(uses: Iterator[feedback_pb.KeyUse]) -> Iterator[feedback_pb.KeysUsedRequest]:
    while some := list(islice(uses, MOST_USES)):
        yield feedback_pb.KeysUsedRequest(uses=some)
