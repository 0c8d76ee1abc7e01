"""A gRPC service without generated code: it echoes bytes, one or many, fails on request, and tells its health."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICE = "test.Echo"


@contextmanager
def grpc_echo(credentials: grpc.ServerCredentials | None = None) -> Iterator[tuple[int, health.HealthServicer]]:
    """Its port, and what it says of its health: SERVING."""
    server = grpc.server(ThreadPoolExecutor(8))
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(_unary),
        "Fail": grpc.unary_unary_rpc_method_handler(_fail),
        "Both": grpc.stream_stream_rpc_method_handler(_both),
        "Sum": grpc.stream_unary_rpc_method_handler(_sum),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    servicer = health.HealthServicer()
    servicer.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    address = "127.0.0.1:0"
    port = server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
    server.start()
    try:
        yield port, servicer
    finally:
        server.stop(grace=None).wait()


def _unary(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.set_trailing_metadata((("x-echo", "trailer"),))
    return request


def _fail(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())


def _both(requests: Iterable[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
    yield from requests


def _sum(requests: Iterable[bytes], _context: grpc.ServicerContext) -> bytes:
    return str(sum(map(len, requests))).encode()
