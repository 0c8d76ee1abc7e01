import grpc
import structlog

from authz_service.usage import KeyUses, tell
from service_kit.endpoint import parse_endpoint
from service_kit.feedback import Feedback
from tests.support.clock import StillClock
from tests.support.ports import free_port
from tollgate_pb.tollgate.policy.v1 import feedback_pb2 as feedback_pb

LOG = structlog.get_logger()


class Listener(grpc.GenericRpcHandler):
    """A control plane that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, int]] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> object:
        assert handler_call_details.method == "/tollgate.policy.v1.Feedback/KeysUsed"
        return grpc.unary_unary_rpc_method_handler(
            self._used, feedback_pb.KeysUsedRequest.FromString, feedback_pb.KeysUsedResponse.SerializeToString
        )

    async def _used(self, request: feedback_pb.KeysUsedRequest, _context: object) -> feedback_pb.KeysUsedResponse:
        self.told.append({use.id: use.at for use in request.uses})
        return feedback_pb.KeysUsedResponse()


def test_the_last_use_counts():
    clock = StillClock(100.0)
    uses = KeyUses(clock)
    uses.used("a")
    clock.advance(5.9)
    uses.used("a")
    uses.used("b")

    assert uses.taken() == {"a": 105, "b": 105}
    assert uses.taken() == {}


async def test_uses_are_kept_until_somebody_listens():
    clock, port, listener = StillClock(100.0), free_port(), Listener()
    uses, feedback = KeyUses(clock), Feedback(parse_endpoint(f"127.0.0.1:{port}"), None)
    uses.used("a")
    uses.used("b")
    await tell(uses, feedback, LOG)
    clock.advance(1)
    uses.used("b")
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((listener,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        feedback = Feedback(parse_endpoint(f"127.0.0.1:{port}"), None)
        await tell(uses, feedback, LOG)
        await tell(uses, feedback, LOG)
    finally:
        await server.stop(None)

    assert listener.told == [{"a": 100, "b": 101}]
