"""A limiter of the test's own: keeps every call as it came over the wire, and answers what it is told to."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from envoy.service.ratelimit.v3 import rls_pb2
from grpc_health.v1.health_pb2 import HealthCheckResponse

from service_kit import contract
from tests.support.eventually import until

OK, OVER_LIMIT = rls_pb2.RateLimitResponse.OK, rls_pb2.RateLimitResponse.OVER_LIMIT


@dataclass(frozen=True)
class Call:
    """One call: the entries of its first descriptors, and its numbers by name."""

    entries: tuple[dict[str, str], ...]
    numbers: dict[str, int]

    def entry(self, key: str) -> str:
        return next((found[key] for found in self.entries if key in found), "")

    @property
    def ends(self) -> bool:
        return contract.DESCRIPTOR_DONE in self.entries[0]

    @property
    def hold(self) -> str:
        return self.entry(contract.DESCRIPTOR_DONE if self.ends else contract.DESCRIPTOR_HOLD)


Says = Callable[[Call], rls_pb2.RateLimitResponse]


def admits(_call: Call) -> rls_pb2.RateLimitResponse:
    return rls_pb2.RateLimitResponse(overall_code=OK)


@dataclass
class Limiter:
    """What was asked, in order, and what is said to it."""

    calls: list[Call] = field(default_factory=list)
    says: Says = admits

    def begun(self, request_id: str) -> Call | None:
        return next((call for call in self.calls if not call.ends and call.hold == request_id), None)

    def ended(self, request_id: str) -> Call:
        """The call at the end of the stream; it comes when the client has its answer already."""
        return until(lambda: next((call for call in self.calls if call.ends and call.hold == request_id), None))


@contextmanager
def running_limiter(socket: Path) -> Iterator[Limiter]:
    """Serves on this socket."""
    limiter = Limiter()

    def answer(data: bytes, _context: grpc.ServicerContext) -> bytes:
        request = rls_pb2.RateLimitRequest.FromString(data)
        call = _call(request)
        limiter.calls.append(call)
        response = limiter.says(call)
        code = response.overall_code
        response.statuses.extend([rls_pb2.RateLimitResponse.DescriptorStatus(code=code)] * len(request.descriptors))
        return response.SerializeToString()

    server = grpc.server(ThreadPoolExecutor(8))
    health = HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString()
    for service, method, says in (
        ("envoy.service.ratelimit.v3.RateLimitService", "ShouldRateLimit", answer),
        ("grpc.health.v1.Health", "Check", lambda _data, _context: health),
    ):
        methods = {method: grpc.unary_unary_rpc_method_handler(says)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    try:
        yield limiter
    finally:
        server.stop(None).wait()


def _call(request: rls_pb2.RateLimitRequest) -> Call:
    entries, numbers = [], {}
    for descriptor in request.descriptors:
        found = {entry.key: entry.value for entry in descriptor.entries}
        if contract.DESCRIPTOR_NUMBER in found:
            numbers[found[contract.DESCRIPTOR_NUMBER]] = descriptor.hits_addend.value
        else:
            entries.append(found)
    return Call(tuple(entries), numbers)
