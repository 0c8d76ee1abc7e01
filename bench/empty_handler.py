"""A service that decides nothing: the same server, the same answer, always; what remains is the transport.

`python -m bench.empty_handler authorizer|limiter unix:/PATH ANSWER`, the answer's bytes in hexadecimal digits.
"""

import sys
from types import MappingProxyType
from typing import Final

import grpc
import uvloop

from authz_service.main import NAME as AUTHORIZER
from authz_service.server import METHOD as CHECK
from ratelimit_service.main import NAME as LIMITER
from ratelimit_service.server import METHOD as SHOULD_RATE_LIMIT
from service_kit.endpoint import parse_endpoint
from service_kit.health import Health
from service_kit.serve import GRPC_OPTIONS, server_port, stop_signal

# In whose place it stands: the name of its health, and the method that it answers.
SERVICES: Final = MappingProxyType({"authorizer": (AUTHORIZER, CHECK), "limiter": (LIMITER, SHOULD_RATE_LIMIT)})


class EmptyHandler(grpc.GenericRpcHandler):
    """Answers every call of a method with the same bytes, unread."""

    def __init__(self, method: str, answer: bytes) -> None:
        self._name = method
        self._answer = answer
        self._method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._decide)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._method if handler_call_details.method == self._name else None

    async def _decide(self, _request: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return self._answer


async def serve(service: str, address: str, answer: str) -> None:
    """Serves until SIGTERM; healthy as the service is, because Envoy asks."""
    name, method = SERVICES[service]
    health = Health(name)
    await health.start()
    server = grpc.aio.server(options=GRPC_OPTIONS)
    server.add_generic_rpc_handlers((EmptyHandler(method, bytes.fromhex(answer)),))
    health.add_to(server)
    server_port(server, parse_endpoint(address), None)
    await server.start()
    await health.serving()
    await stop_signal()
    await server.stop(None)


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
