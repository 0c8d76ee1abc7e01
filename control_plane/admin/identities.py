"""Stored keys and consumers over gRPC and over HTTP: the same calls, messages and answers, behind the admin token.

The audit trail is told what changed: nothing that opens anything, and what is asked for before it is known.
"""

from collections.abc import Iterable
from typing import Final

import grpc
from starlette.routing import Route

from control_plane.admin.calls import Call, Offer, Said, Served, calls_routes, calls_rpc
from control_plane.audit import Act
from control_plane.keys.entries import ConsumerChange, ConsumerSpec, KeySpec
from control_plane.keys.errors import BadEntry, Conflict, IdentityError, NotFound
from control_plane.operations.identities import (
    SERVICE,
    ChangedConsumer,
    ConsumerReport,
    DeletedConsumer,
    IdentityOperations,
    IssuedKey,
    KeyReport,
    ReplacedSigningKeys,
    RevokedKey,
)
from control_plane.operations.tokens import MintedToken, MintSpec
from service_kit.audit import Facts
from tollgate_pb.tollgate.admin.v1 import keys_pb2 as keys_pb

# Seconds.
USUAL_OVERLAP: Final = 86_400.0
# What the audit trail calls what tokens are signed with.
SIGNING_KEYS: Final = "signing keys"


async def _create_key(do: IdentityOperations, asked: keys_pb.CreateKeyRequest, act: Act) -> IssuedKey:
    issued = await do.create_key(_key(asked), act.actor)
    act.object, act.new = f"key {issued.id}", _of_key(issued.details)
    return issued


async def _rotate_key(do: IdentityOperations, asked: keys_pb.RotateKeyRequest, act: Act) -> IssuedKey:
    issued = await do.rotate_key(asked.id, _overlap(asked), act.actor)
    act.new = {"rotated_to": issued.id, "overlap": _overlap(asked), **_of_key(issued.details)}
    return issued


async def _revoke_key(do: IdentityOperations, asked: keys_pb.RevokeKeyRequest, act: Act) -> RevokedKey:
    revoked = await do.revoke_key(asked.id, act.actor)
    key = revoked.details
    act.new = {"consumer": key.consumer, "revoked_at": key.revoked_at, "revoked_by": key.revoked_by}
    return revoked


async def _create_consumer(do: IdentityOperations, asked: keys_pb.ConsumerRequest, act: Act) -> ChangedConsumer:
    made = await do.create_consumer(_consumer(asked), act.actor)
    act.new = _of_consumer(made.details)
    return made


async def _update_consumer(do: IdentityOperations, asked: keys_pb.UpdateConsumerRequest, act: Act) -> ChangedConsumer:
    act.old = _of_consumer(await do.consumer(asked.name))
    changed = await do.update_consumer(asked.name, _consumer_change(asked), act.actor)
    act.new = _of_consumer(changed.details)
    return changed


async def _delete_consumer(do: IdentityOperations, asked: keys_pb.DeleteConsumerRequest, act: Act) -> DeletedConsumer:
    act.old = _of_consumer(await do.consumer(asked.name))
    deleted = await do.delete_consumer(asked.name, act.actor)
    act.new = {"revoked_keys": deleted.revoked}
    return deleted


async def _mint_token(do: IdentityOperations, asked: keys_pb.MintTokenRequest, act: Act) -> MintedToken:
    token = await do.mint_token(_mint(asked))
    act.object = f"key {token.key}"
    act.new = {"consumer": token.consumer, "scopes": token.scopes, "expires": token.expires}
    return token


async def _replace_signing_keys(do: IdentityOperations, _asked: object, act: Act) -> ReplacedSigningKeys:
    replaced = await do.replace_signing_keys()
    act.new = {"kid": replaced.kid}
    return replaced


def _named_consumer(asked: keys_pb.ConsumerRequest | keys_pb.UpdateConsumerRequest) -> str:
    return f"consumer {asked.name}"


def _named_key(asked: keys_pb.RotateKeyRequest | keys_pb.RevokeKeyRequest) -> str:
    return f"key {asked.id}"


CALLS: Final[tuple[Call[IdentityOperations], ...]] = (
    Call(
        "CreateKey", keys_pb.CreateKeyRequest, keys_pb.IssuedKey, ("POST", "/keys"),
        _create_key, "key.create", lambda asked: f"consumer {asked.consumer}",
    ),
    Call(
        "ListKeys", keys_pb.ListKeysRequest, keys_pb.KeysReport, ("GET", "/keys"),
        lambda do, asked, _: do.keys(asked.consumer, asked.after, asked.limit),
    ),
    Call(
        "RotateKey", keys_pb.RotateKeyRequest, keys_pb.IssuedKey, ("POST", "/keys/{id}/rotate"),
        _rotate_key, "key.rotate", _named_key,
    ),
    Call(
        "RevokeKey", keys_pb.RevokeKeyRequest, keys_pb.RevokedKey, ("POST", "/keys/{id}/revoke"),
        _revoke_key, "key.revoke", _named_key,
    ),
    Call(
        "CreateConsumer", keys_pb.ConsumerRequest, keys_pb.ChangedConsumer, ("POST", "/consumers"),
        _create_consumer, "consumer.create", _named_consumer,
    ),
    Call(
        "ListConsumers", keys_pb.ListConsumersRequest, keys_pb.ConsumersReport, ("GET", "/consumers"),
        lambda do, asked, _: do.consumers(asked.after, asked.limit),
    ),
    Call(
        "UpdateConsumer", keys_pb.UpdateConsumerRequest, keys_pb.ChangedConsumer, ("PATCH", "/consumers/{name}"),
        _update_consumer, "consumer.update", _named_consumer,
    ),
    Call(
        "DeleteConsumer", keys_pb.DeleteConsumerRequest, keys_pb.DeletedConsumer, ("DELETE", "/consumers/{name}"),
        _delete_consumer, "consumer.delete", _named_consumer,
    ),
    Call(
        "MintToken", keys_pb.MintTokenRequest, keys_pb.MintedToken, ("POST", "/tokens"),
        _mint_token, "token.mint",
        lambda asked: f"key {asked.key}" if asked.key else f"consumer {asked.consumer}",
    ),
    Call(
        "ReplaceSigningKeys", keys_pb.ReplaceSigningKeysRequest, keys_pb.ReplacedSigningKeys,
        ("POST", "/signing-keys/replace"),
        _replace_signing_keys, "signing_keys.replace", lambda _: SIGNING_KEYS,
    ),
)  # fmt: skip


OFFER: Final = Offer(
    service=SERVICE,
    calls=CALLS,
    error=IdentityError,
    refusals={
        NotFound: Said(grpc.StatusCode.NOT_FOUND, 404, "not_found"),
        BadEntry: Said(grpc.StatusCode.INVALID_ARGUMENT, 400, "invalid_request"),
        Conflict: Said(grpc.StatusCode.FAILED_PRECONDITION, 409, "conflict"),
    },
    # The database cannot be used.
    otherwise=Said(grpc.StatusCode.FAILED_PRECONDITION, 503, "store_unavailable"),
    counted=lambda operations, name, error: operations.counted(name, error),
)


def identities_rpc(served: Served[IdentityOperations]) -> grpc.GenericRpcHandler:
    """The gRPC service."""
    return calls_rpc(OFFER, served)


def identities_routes(served: Served[IdentityOperations]) -> tuple[Route, ...]:
    """The same over HTTP."""
    return calls_routes(OFFER, served)


def _of_key(key: KeyReport) -> Facts:
    """What a key is for."""
    facts = {
        "scopes": key.scopes,
        "roles": key.roles,
        "plan": key.plan,
        "allow_ips": key.allow_ips,
        "models": key.models,
        "expires": key.expires,
    }
    return {"consumer": key.consumer, **{name: value for name, value in facts.items() if value}}


def _of_consumer(consumer: ConsumerReport) -> Facts:
    return {"tenant": consumer.tenant, "plan": consumer.plan}


def _key(asked: keys_pb.CreateKeyRequest) -> KeySpec:
    return KeySpec(
        consumer=asked.consumer,
        scopes=_words(asked.scopes),
        roles=_words(asked.roles),
        plan=asked.plan or None,
        allow_ips=_words(asked.allow_ips),
        expires=asked.expires or None,
        models=_words(asked.models),
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
