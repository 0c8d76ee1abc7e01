"""The operations as a gRPC service on the xDS server's address; every call carries the admin token."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from control_plane.admin.authors import by_context
from control_plane.admin.rollback import rolled_back
from control_plane.admin.token import presents
from control_plane.audit import AuditUnavailable, Trail
from control_plane.history.entries import CannotRollBack, NoSuchEntry
from control_plane.operations.described import hashing_key
from control_plane.operations.reports import (
    AUTHORIZATION,
    SERVICE,
    Operations,
    as_json,
)
from tollgate_pb.tollgate.admin.v1 import admin_pb2 as admin_pb

# Entries of the history where a caller names no number.
DEFAULT_LIMIT: Final = 20
CURE: Final = "send `authorization: Bearer TOKEN` with the admin token, which is in the state directory's admin-token"

Context = grpc.aio.ServicerContext[Message, Message]
Answer = Callable[[Message, Context], Awaitable[object]]


@dataclass(frozen=True)
class Method:
    """One call: its messages, and what answers it with a report of that shape."""

    name: str
    request: type[Message]
    response: type[Message]
    answer: Answer


def admin_rpc(operations: Operations, token: Callable[[], str], trail: Trail) -> grpc.GenericRpcHandler:
    """The service; `token` is asked at each call, since it may change with the configuration."""

    async def status(_request: Message, _context: Context) -> object:
        return operations.status()

    async def history(request: Message, _context: Context) -> object:
        assert isinstance(request, admin_pb.ListHistoryRequest)  # noqa: S101 - what the method deserializes
        return await operations.history(request.limit or DEFAULT_LIMIT)

    async def rollback(request: Message, context: Context) -> object:
        assert isinstance(request, admin_pb.RollbackRequest)  # noqa: S101 - what the method deserializes
        number = request.number if request.HasField("number") else None
        return await rolled_back(operations, trail, number, by_context(context))

    async def running(_request: Message, _context: Context) -> object:
        return await operations.running(hashing_key(token()))

    methods = (
        Method("GetStatus", admin_pb.GetStatusRequest, admin_pb.StatusReport, status),
        Method("ListHistory", admin_pb.ListHistoryRequest, admin_pb.HistoryReport, history),
        Method("Rollback", admin_pb.RollbackRequest, admin_pb.RollbackResult, rollback),
        Method("GetRunning", admin_pb.GetRunningRequest, admin_pb.Running, running),
    )
    return grpc.method_handlers_generic_handler(SERVICE, {method.name: _handler(method, token) for method in methods})


def _handler(method: Method, token: Callable[[], str]) -> "grpc.RpcMethodHandler[bytes, Message]":
    async def handle(request: bytes, context: Context) -> Message:
        if not presents(presented(context), token()):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, CURE)
        try:
            report = await method.answer(method.request.FromString(request), context)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not a {method.request.DESCRIPTOR.name}")
        except NoSuchEntry as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        except (CannotRollBack, AuditUnavailable) as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        return await asyncio.to_thread(_message, report, method.response)  # of ten thousand routes it takes a second

    # Requests are read behind the token: gRPC would tell who has none what is wrong with them.
    return grpc.unary_unary_rpc_method_handler(handle, response_serializer=method.response.SerializeToString)


def _message(report: object, response: type[Message]) -> Message:
    return json_format.ParseDict(as_json(report), response())


def presented(context: Context) -> str:
    """What the caller shows as authorization; nothing where it shows several."""
    values = [value for name, value in context.invocation_metadata() or () if name == AUTHORIZATION]
    return values[0] if len(values) == 1 and isinstance(values[0], str) else ""


def by_token_or_socket(token: Callable[[], str]) -> Callable[[Context], bool]:
    """Who may ask what consumers run: the admin token, or a Unix socket, whose directory lets nobody else in."""
    return lambda context: context.peer().startswith("unix:") or presents(presented(context), token())
