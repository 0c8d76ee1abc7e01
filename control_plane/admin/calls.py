"""Operations as calls: the same messages and answers over gRPC and over HTTP, behind the admin token.

Who asks, and from where, is known here: what changes something is written down with it before it is done.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from control_plane.admin.answers import guarded, mistake
from control_plane.admin.authors import by_context, by_request
from control_plane.admin.http import body_of
from control_plane.admin.rpc import CURE, presented
from control_plane.admin.token import presents
from control_plane.audit import Act, AuditUnavailable, Trail
from control_plane.operations.reports import as_json
from service_kit.audit import By, Result

# Bytes; a key with all the scopes, roles and networks it may have.
LARGEST_BODY: Final = 256 << 10
# Some answers hold a key, which is shown once.
NOT_KEPT: Final = {"cache-control": "no-store"}
# What changes nothing is written down nowhere.
READS: Final = ""

Operations = TypeVar("Operations")
Context = grpc.aio.ServicerContext[Message, Message]
Json = dict[str, Any]  # Any: JSON


@dataclass(frozen=True)
class Said:
    """How a refusal is said by gRPC and by HTTP."""

    code: grpc.StatusCode
    status: int
    name: str


# Where the audit trail cannot be written.
UNWRITTEN: Final = Said(grpc.StatusCode.FAILED_PRECONDITION, 503, "audit_unavailable")
SERVER_ERROR: Final = 500


@dataclass(frozen=True)
class Call(Generic[Operations]):
    """An operation: its messages, how HTTP asks for it, and what does it for somebody.

    `action` is what the audit trail calls it, `named` what it is about as far as the request says it.
    """

    name: str
    request: type[Message]
    response: type[Message]
    http: tuple[str, str]
    work: Callable[[Operations, Any, Act], Awaitable[object]]  # Any: the message of the call
    action: str = READS
    named: Callable[[Any], str] = field(default=lambda _asked: "")  # Any: as above


@dataclass(frozen=True)
class Served(Generic[Operations]):
    """What does the calls, what guards them, and where it is written down that they were made.

    `token` is asked at each call, since it may change with the configuration.
    """

    operations: Operations
    token: Callable[[], str]
    trail: Trail


@dataclass(frozen=True)
class Offer(Generic[Operations]):
    """The calls of one gRPC service, and how its operations refuse."""

    service: str
    calls: tuple[Call[Operations], ...]
    # What the operations raise, and how each kind is said; others of it as `otherwise`.
    error: type[Exception]
    refusals: Mapping[type[Exception], Said]
    otherwise: Said
    # What HTTP says as the message has it.
    asked: Callable[[Json], Json] = field(default=dict)
    # Told of each operation, with what went wrong.
    counted: Callable[[Operations, str, Exception | None], None] = field(
        default=lambda _operations, _name, _error: None
    )

    def said(self, error: Exception) -> Said:
        return self.refusals.get(type(error), self.otherwise)

    def verdict(self, error: Exception) -> Result | None:
        """What the audit trail says of an error: one of the caller's changed nothing."""
        if not isinstance(error, self.error):
            return None
        return Result.REFUSED if self.said(error).status < SERVER_ERROR else Result.FAILED

    async def done(self, call: Call[Operations], served: Served[Operations], request: Message, by: By) -> object:
        operations = served.operations

        def work(act: Act) -> Awaitable[object]:
            return call.work(operations, request, act)

        try:
            if call.action == READS:
                report = await work(Act(by, ""))
            else:
                report = await served.trail.done(by, call.action, call.named(request), work, verdict=self.verdict)
        except (self.error, AuditUnavailable) as error:
            self.counted(operations, call.name, error)
            raise
        self.counted(operations, call.name, None)
        return report


def calls_rpc(offer: Offer[Operations], served: Served[Operations]) -> grpc.GenericRpcHandler:
    """The gRPC service."""
    return grpc.method_handlers_generic_handler(
        offer.service, {call.name: _rpc_handler(offer, call, served) for call in offer.calls}
    )


def calls_routes(offer: Offer[Operations], served: Served[Operations]) -> tuple[Route, ...]:
    """The same over HTTP: a body, and what stands in the path and the query, have the keys of the call's message."""
    return tuple(_route(offer, call, served) for call in offer.calls)


def _rpc_handler(
    offer: Offer[Operations], call: Call[Operations], served: Served[Operations]
) -> "grpc.RpcMethodHandler[bytes, Message]":
    async def handle(request: bytes, context: Context) -> Message:
        if not presents(presented(context), served.token()):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, CURE)
        try:
            report = await offer.done(call, served, call.request.FromString(request), by_context(context))
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not a {call.request.DESCRIPTOR.name}")
        except offer.error as error:
            await context.abort(offer.said(error).code, str(error))
        except AuditUnavailable as error:
            await context.abort(UNWRITTEN.code, str(error))
        return json_format.ParseDict(as_json(report), call.response())

    # Requests are read behind the token: gRPC would tell who has none what is wrong with them.
    return grpc.unary_unary_rpc_method_handler(handle, response_serializer=call.response.SerializeToString)


def _route(offer: Offer[Operations], call: Call[Operations], served: Served[Operations]) -> Route:
    method, path = call.http

    async def handle(request: Request) -> Response:
        try:
            message = json_format.ParseDict(offer.asked(await _asked(request)), call.request())
        except (ValueError, RecursionError, json_format.ParseError) as error:
            cure = f"send a JSON object with the keys of {call.request.__name__}"
            return mistake(400, "invalid_request", f"{error}; {cure}")
        try:
            report = await offer.done(call, served, message, by_request(request))
        except offer.error as error:
            said = offer.said(error)
            return mistake(said.status, said.name, str(error))
        except AuditUnavailable as error:
            return mistake(UNWRITTEN.status, UNWRITTEN.name, str(error))
        return JSONResponse(as_json(report), headers=NOT_KEPT)

    return Route(path, guarded(handle, served.token), methods=[method])


async def _asked(request: Request) -> Json:
    """What is asked for; what the path says counts."""
    body = await body_of(request, LARGEST_BODY)
    asked = json.loads(body) if body else dict(request.query_params)
    if not isinstance(asked, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - a mistake of the caller's, as the others are
    return {**asked, **request.path_params}
