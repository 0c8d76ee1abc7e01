"""A limiter that decides nothing: the same server, one answer, always; what remains is the transport.

`python -m bench.ratelimit.empty unix:/PATH ANSWER`, the answer's bytes in hexadecimal digits.
"""

import sys

import grpc
import uvloop

from ratelimit_service.main import NAME
from ratelimit_service.server import METHOD
from service_kit.endpoint import parse_endpoint
from service_kit.health import Health
from service_kit.serve import GRPC_OPTIONS, server_port, stop_signal


class EmptyHandler(grpc.GenericRpcHandler):
    """Answers every call with the same bytes, unread."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._decide)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._method if handler_call_details.method == METHOD else None

    async def _decide(self, _request: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return self._answer


async def serve(address: str, answer: str) -> None:
    """Serves until SIGTERM."""
    health = Health(NAME)
    await health.start()
    server = grpc.aio.server(options=GRPC_OPTIONS)
    server.add_generic_rpc_handlers((EmptyHandler(bytes.fromhex(answer)),))
    health.add_to(server)
    server_port(server, parse_endpoint(address), None)
    await server.start()
    await health.serving()
    await stop_signal()
    await server.stop(None)


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
