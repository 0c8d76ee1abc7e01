"""The gRPC edge for operators, on a socket that is its owner's alone. What goes wrong unforeseen is logged here."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from service_kit.log import Logger
from tollgate_pb.tollgate.admin.v1 import usage_pb2 as usage_pb
from usage_ledger.errors import LedgerUnavailable
from usage_ledger.reader import Reader
from usage_ledger.reports import BadQuestion, Question

SERVICE: Final = "tollgate.admin.v1.UsageAdmin"

Context = grpc.aio.ServicerContext[Message, Message]
# Any: the message of the call.
Answered = Callable[[Any], Awaitable[Message]]


class UsageAdmin(grpc.GenericRpcHandler):
    """Serves UsageAdmin."""

    def __init__(self, reader: Reader, log: Logger) -> None:
        self._reader = reader
        self._log = log
        self._methods = {
            f"/{SERVICE}/ReportUsage": self._method(usage_pb.UsageRequest, self._report),
            f"/{SERVICE}/ListHeads": self._method(usage_pb.ListHeadsRequest, self._heads),
        }

    # Any: the handler's messages are of many types
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        return self._methods.get(handler_call_details.method or "")

    def _method(self, request: type[Message], work: Answered) -> "grpc.RpcMethodHandler[Any, Any]":
        async def answered(asked: Message, context: Context) -> Message:
            code, details = grpc.StatusCode.INTERNAL, "the report failed; the log of the ledger says why"
            try:
                return await work(asked)
            except BadQuestion as error:
                code, details = grpc.StatusCode.INVALID_ARGUMENT, str(error)
            except LedgerUnavailable as error:
                code, details = grpc.StatusCode.UNAVAILABLE, str(error)
            except Exception:  # noqa: BLE001 - the outermost edge of a call: refused and logged
                self._log.exception("report failed")
            return await context.abort(code, details)

        return grpc.unary_unary_rpc_method_handler(
            answered,
            request_deserializer=request.FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )

    async def _report(self, asked: usage_pb.UsageRequest) -> Message:
        question = Question(tuple(asked.by), asked.begin, asked.end or None, dict(asked.only))
        lines = (
            usage_pb.UsageLine(parts=map(str, line.parts), **line.sums) for line in await self._reader.report(question)
        )
        return usage_pb.UsageReport(by=asked.by, lines=lines)

    async def _heads(self, _asked: usage_pb.ListHeadsRequest) -> Message:
        found = (
            usage_pb.ChainHead(writer=head.writer, seq=head.seq, hash=head.hash.hex())
            for head in await self._reader.heads()
        )
        return usage_pb.HeadsReport(heads=found)
