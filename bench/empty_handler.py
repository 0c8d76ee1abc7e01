"""An authorizer that decides nothing: the same server, the same answer, always; what remains is the transport.

`python -m bench.empty_handler unix:/PATH PROFILE SUBJECT`
"""

import sys
from uuid import UUID

import grpc
import uvloop

from authz_service.answer import allowed
from authz_service.identity import Grant
from authz_service.main import NAME
from authz_service.places import AUTHORIZATION, Change
from authz_service.server import METHOD
from service_kit.endpoint import parse_endpoint
from service_kit.health import Health
from service_kit.serve import GRPC_OPTIONS, server_port, stop_signal


class EmptyHandler(grpc.GenericRpcHandler):
    """Answers every check with the same bytes, unread."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._check)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._method if handler_call_details.method == METHOD else None

    async def _check(self, _request: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return self._answer


def answer(profile: str, subject: str) -> bytes:
    """What the authorizer itself answers to a token of this subject."""
    nothing: frozenset[str] = frozenset()
    grant = Grant(
        subject=subject, consumer=subject, named_consumer=None, tenant=None, plan=None, key_id=None,
        scopes=nothing, roles=nothing, forward=False,
    )  # fmt: skip
    return allowed(grant, profile, str(UUID(int=0)), without=Change(AUTHORIZATION))


async def serve(address: str, profile: str, subject: str) -> None:
    """Serves until SIGTERM; healthy as the authorizer is, because Envoy asks."""
    health = Health(NAME)
    await health.start()
    server = grpc.aio.server(options=GRPC_OPTIONS)
    server.add_generic_rpc_handlers((EmptyHandler(answer(profile, subject)),))
    health.add_to(server)
    server_port(server, parse_endpoint(address), None)
    await server.start()
    await health.serving()
    await stop_signal()
    await server.stop(None)


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
