"""What services tell the control plane: which keys were used, and which key set lacks a key that a token names.

It is served to peers whose certificate says `service`, and on the Unix socket. What is told is kept or done elsewhere;
a service is never made to wait for a database.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc

from service_kit.api_keys import ID_LENGTH
from service_kit.feedback import MOST_USES, SERVICE
from tollgate_pb.tollgate.policy.v1 import feedback_pb2 as feedback_pb

Context = grpc.aio.ServicerContext[Any, Any]
# Takes the seconds since the epoch at which keys were last used, by id.
Used = Callable[[Mapping[str, float]], None]
# Whether the key set of an issuer was fetched anew.
Refresh = Callable[[str], Awaitable[bool]]


async def nothing_to_refresh(_issuer: str) -> bool:
    """No key set is fetched here."""
    return False


def feedback_rpc(used: Used, refresh: Refresh = nothing_to_refresh) -> grpc.GenericRpcHandler:
    """The service."""

    async def keys_used(request: feedback_pb.KeysUsedRequest, context: Context) -> feedback_pb.KeysUsedResponse:
        if len(request.uses) > MOST_USES:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"more than {MOST_USES} keys in one call")
        used({use.id: float(use.at) for use in request.uses if len(use.id) == ID_LENGTH})
        return feedback_pb.KeysUsedResponse()

    async def refresh_key_set(
        request: feedback_pb.RefreshKeySetRequest, _context: Context
    ) -> feedback_pb.RefreshKeySetResponse:
        return feedback_pb.RefreshKeySetResponse(refreshed=await refresh(request.issuer))

    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "KeysUsed": grpc.unary_unary_rpc_method_handler(
            keys_used,
            request_deserializer=feedback_pb.KeysUsedRequest.FromString,
            response_serializer=feedback_pb.KeysUsedResponse.SerializeToString,
        ),
        "RefreshKeySet": grpc.unary_unary_rpc_method_handler(
            refresh_key_set,
            request_deserializer=feedback_pb.RefreshKeySetRequest.FromString,
            response_serializer=feedback_pb.RefreshKeySetResponse.SerializeToString,
        ),
    }
    return grpc.method_handlers_generic_handler(SERVICE, handlers)
