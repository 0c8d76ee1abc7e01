"""Stored keys and consumers over gRPC and over HTTP: the same calls, messages and answers, behind the admin token."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from control_plane.admin.answers import guarded, mistake
from control_plane.admin.http import body_of
from control_plane.admin.rpc import CURE, presented
from control_plane.admin.token import presents
from control_plane.keys.entries import ConsumerChange, ConsumerSpec, KeySpec
from control_plane.keys.errors import BadEntry, Conflict, IdentityError, NotFound
from control_plane.operations.identities import SERVICE, IdentityOperations
from control_plane.operations.reports import as_json
from control_plane.operations.tokens import MintSpec
from service_kit.peers import peer_of
from tollgate_pb.tollgate.admin.v1 import keys_pb2 as keys_pb

# Bytes; a key with all the scopes, roles and networks it may have.
LARGEST_BODY: Final = 256 << 10
# Some answers hold a key, which is shown once.
# Seconds.
USUAL_OVERLAP: Final = 86_400.0
NOT_KEPT: Final = {"cache-control": "no-store"}
# Who changes something, where no certificate says it.
ADMIN: Final = "admin"

Context = grpc.aio.ServicerContext[Message, Message]
# Any: the message of the call.
Work = Callable[[IdentityOperations, Any, str], Awaitable[object]]


@dataclass(frozen=True)
class Call:
    """An operation: its messages, how HTTP asks for it, and what does it for somebody."""

    name: str
    request: type[Message]
    response: type[Message]
    http: tuple[str, str]
    work: Work


CALLS: Final = (
    Call(
        "CreateKey", keys_pb.CreateKeyRequest, keys_pb.IssuedKey, ("POST", "/keys"),
        lambda do, asked, by: do.create_key(_key(asked), by),
    ),
    Call(
        "ListKeys", keys_pb.ListKeysRequest, keys_pb.KeysReport, ("GET", "/keys"),
        lambda do, asked, _: do.keys(asked.consumer, asked.after, asked.limit),
    ),
    Call(
        "RotateKey", keys_pb.RotateKeyRequest, keys_pb.IssuedKey, ("POST", "/keys/{id}/rotate"),
        lambda do, asked, by: do.rotate_key(asked.id, _overlap(asked), by),
    ),
    Call(
        "RevokeKey", keys_pb.RevokeKeyRequest, keys_pb.RevokedKey, ("POST", "/keys/{id}/revoke"),
        lambda do, asked, by: do.revoke_key(asked.id, by),
    ),
    Call(
        "CreateConsumer", keys_pb.ConsumerRequest, keys_pb.ChangedConsumer, ("POST", "/consumers"),
        lambda do, asked, by: do.create_consumer(_consumer(asked), by),
    ),
    Call(
        "ListConsumers", keys_pb.ListConsumersRequest, keys_pb.ConsumersReport, ("GET", "/consumers"),
        lambda do, asked, _: do.consumers(asked.after, asked.limit),
    ),
    Call(
        "UpdateConsumer", keys_pb.UpdateConsumerRequest, keys_pb.ChangedConsumer, ("PATCH", "/consumers/{name}"),
        lambda do, asked, by: do.update_consumer(asked.name, _consumer_change(asked), by),
    ),
    Call(
        "DeleteConsumer", keys_pb.DeleteConsumerRequest, keys_pb.DeletedConsumer, ("DELETE", "/consumers/{name}"),
        lambda do, asked, by: do.delete_consumer(asked.name, by),
    ),
    Call(
        "MintToken", keys_pb.MintTokenRequest, keys_pb.MintedToken, ("POST", "/tokens"),
        lambda do, asked, _: do.mint_token(_mint(asked)),
    ),
    Call(
        "ReplaceSigningKeys", keys_pb.ReplaceSigningKeysRequest, keys_pb.ReplacedSigningKeys,
        ("POST", "/signing-keys/replace"),
        lambda do, _asked, _by: do.replace_signing_keys(),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """How a refusal is said by gRPC and by HTTP."""

    code: grpc.StatusCode
    status: int
    name: str


REFUSALS: Final[Mapping[type[IdentityError], Said]] = {
    NotFound: Said(grpc.StatusCode.NOT_FOUND, 404, "not_found"),
    BadEntry: Said(grpc.StatusCode.INVALID_ARGUMENT, 400, "invalid_request"),
    Conflict: Said(grpc.StatusCode.FAILED_PRECONDITION, 409, "conflict"),
}
# The database cannot be used.
AWAY: Final = Said(grpc.StatusCode.FAILED_PRECONDITION, 503, "store_unavailable")


def identities_rpc(operations: IdentityOperations, token: Callable[[], str]) -> grpc.GenericRpcHandler:
    """The gRPC service; `token` is asked at each call, since it may change with the configuration."""
    return grpc.method_handlers_generic_handler(
        SERVICE, {call.name: _rpc_handler(call, operations, token) for call in CALLS}
    )


def identities_routes(operations: IdentityOperations, token: Callable[[], str]) -> tuple[Route, ...]:
    """The same over HTTP: a body, and what stands in the path and the query, have the keys of the call's message."""
    return tuple(_route(call, operations, token) for call in CALLS)


def _rpc_handler(
    call: Call, operations: IdentityOperations, token: Callable[[], str]
) -> "grpc.RpcMethodHandler[bytes, Message]":
    async def handle(request: bytes, context: Context) -> Message:
        if not presents(presented(context), token()):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, CURE)
        try:
            report = await _done(call, operations, call.request.FromString(request), _author(context))
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not a {call.request.DESCRIPTOR.name}")
        except IdentityError as error:
            await context.abort(_said(error).code, str(error))
        return json_format.ParseDict(as_json(report), call.response())

    # Requests are read behind the token: gRPC would tell who has none what is wrong with them.
    return grpc.unary_unary_rpc_method_handler(handle, response_serializer=call.response.SerializeToString)


def _route(call: Call, operations: IdentityOperations, token: Callable[[], str]) -> Route:
    method, path = call.http

    async def handle(request: Request) -> Response:
        try:
            message = json_format.ParseDict(await _asked(request), call.request())
        except (ValueError, RecursionError, json_format.ParseError) as error:
            cure = f"send a JSON object with the keys of {call.request.__name__}"
            return mistake(400, "invalid_request", f"{error}; {cure}")
        try:
            report = await _done(call, operations, message, ADMIN)
        except IdentityError as error:
            said = _said(error)
            return mistake(said.status, said.name, str(error))
        return JSONResponse(as_json(report), headers=NOT_KEPT)

    return Route(path, guarded(handle, token), methods=[method])


async def _asked(request: Request) -> dict[str, Any]:  # Any: JSON
    """What is asked for; what the path says counts."""
    body = await body_of(request, LARGEST_BODY)
    asked = json.loads(body) if body else dict(request.query_params)
    if not isinstance(asked, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - a mistake of the caller's, as the others are
    return {**asked, **request.path_params}


async def _done(call: Call, operations: IdentityOperations, request: Message, by: str) -> object:
    try:
        report = await call.work(operations, request, by)
    except IdentityError as error:
        operations.counted(call.name, error)
        raise
    operations.counted(call.name, None)
    return report


def _said(error: IdentityError) -> Said:
    return REFUSALS.get(type(error), AWAY)


def _author(context: Context) -> str:
    """The name in the caller's certificate; on the Unix socket there is none."""
    peer = peer_of(context)
    return next(iter(peer.names), ADMIN) if peer is not None else ADMIN


def _key(asked: keys_pb.CreateKeyRequest) -> KeySpec:
    return KeySpec(
        consumer=asked.consumer,
        scopes=_words(asked.scopes),
        roles=_words(asked.roles),
        plan=asked.plan or None,
        allow_ips=_words(asked.allow_ips),
        expires=asked.expires or None,
    )


def _overlap(asked: keys_pb.RotateKeyRequest) -> float:
    return asked.overlap if asked.HasField("overlap") else USUAL_OVERLAP


def _mint(asked: keys_pb.MintTokenRequest) -> MintSpec:
    return MintSpec(asked.consumer, asked.key, _words(asked.scopes), asked.lifetime)


def _consumer(asked: keys_pb.ConsumerRequest) -> ConsumerSpec:
    return ConsumerSpec(asked.name, asked.tenant or None, asked.plan or None)


def _consumer_change(asked: keys_pb.UpdateConsumerRequest) -> ConsumerChange:
    return ConsumerChange(_set(asked, "tenant"), _set(asked, "plan"))


def _words(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(texts)


def _set(asked: keys_pb.UpdateConsumerRequest, name: str) -> str | None:
    return getattr(asked, name) if asked.HasField(name) else None
