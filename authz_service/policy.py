"""The authorizer's policy, parsed whole or not at all from the control plane's message.

Keys are prepared, names checked and texts encoded here, once, so that a decision trusts what it reads. PolicyRejected
becomes the NACK that an administrator sees: it names the culprit and never quotes a secret, a key or a digest.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from authz_service.claims import ClaimNames, Lifetime
from authz_service.identity import Grant
from service_kit.contract import LONGEST_LEEWAY
from service_kit.identity_part import UnusablePart, identity_part
from service_kit.subscription import PolicyRejected
from service_kit.verification_keys import KeySet, UnusableKeys, jwks_keys, secret_keys
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

_DIGEST_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer whose tokens are accepted."""

    name: str
    issuer: str
    audiences: tuple[str, ...]
    keys: KeySet
    claims: ClaimNames
    lifetime: Lifetime
    forward: bool


@dataclass(frozen=True, slots=True)
class Consumer:
    """What a declared consumer brings, whatever its credential says."""

    tenant: str | None
    plan: str | None


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom the gateway knows. Issuers by `iss`, bearer grants by the token's SHA-256, consumers by encoded name."""

    issuers: Mapping[str, Issuer]
    bearers: Mapping[bytes, Grant] = field(repr=False)
    consumers: Mapping[str, Consumer]
    plans: frozenset[str]
    default_plan: str | None


def parse_policy(data: bytes) -> Policy:
    """The policy in these bytes; PolicyRejected says what is wrong with it."""
    message = policy_pb.AuthzPolicy()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise PolicyRejected("the authorization policy is no AuthzPolicy message") from error
    if _has_unknown_fields(message):
        raise PolicyRejected("the authorization policy has fields this authorizer does not know: upgrade it first")
    return _policy(message)


def _policy(message: policy_pb.AuthzPolicy) -> Policy:
    _unique("jwt issuer name", (entry.name for entry in message.jwt))
    _unique("jwt issuer", (entry.issuer for entry in message.jwt))
    _unique("bearer token name", (token.name for token in message.bearer_tokens))
    _unique("consumer", (consumer.name for consumer in message.consumers))
    _unique("plan", message.plans)
    plans = frozenset(_text(plan, "a plan's name") for plan in message.plans)
    default_plan = _optional(message.default_plan, "the default plan")
    if default_plan is not None and default_plan not in plans:
        raise PolicyRejected(f"the default plan {message.default_plan!r} is not among the plans: declare it")
    return Policy(
        issuers={entry.issuer: _issuer(entry) for entry in message.jwt},
        bearers=_bearers(message.bearer_tokens),
        consumers={
            _text(entry.name, "a consumer's name"): Consumer(
                tenant=_optional(entry.tenant, f"tenant of consumer {entry.name!r}"),
                plan=_optional(entry.plan, f"plan of consumer {entry.name!r}"),
            )
            for entry in message.consumers
        },
        plans=plans,
        default_plan=default_plan,
    )


def _issuer(entry: policy_pb.JwtIssuer) -> Issuer:
    where = f"jwt issuer {entry.name!r}"
    if not entry.name or not entry.issuer:
        raise PolicyRejected(f"{where} needs a name and an issuer")
    if not entry.audiences or not all(entry.audiences):
        raise PolicyRejected(f"{where} names no audience: a token for anybody would be accepted")
    if not entry.claims.subject:
        raise PolicyRejected(f"{where} names no claim for the subject")
    if entry.leeway_seconds > LONGEST_LEEWAY:
        raise PolicyRejected(f"{where} has a leeway of {entry.leeway_seconds} s, {LONGEST_LEEWAY} s is the most")
    return Issuer(
        name=entry.name,
        issuer=entry.issuer,
        audiences=tuple(entry.audiences),
        keys=_keys(entry, where),
        claims=_claim_names(entry.claims),
        lifetime=Lifetime(leeway=entry.leeway_seconds, longest=entry.max_lifetime_seconds),
        forward=entry.forward,
    )


def _keys(entry: policy_pb.JwtIssuer, where: str) -> KeySet:
    if not entry.algorithms:
        raise PolicyRejected(f"{where} names no algorithm")
    try:
        if entry.WhichOneof("keys") == "secret":
            return secret_keys(entry.secret, entry.algorithms)
        if entry.WhichOneof("keys") == "jwks":
            return jwks_keys(entry.jwks, entry.algorithms)
    except UnusableKeys as error:
        raise PolicyRejected(f"{where}: {error}") from error
    raise PolicyRejected(f"{where} has no keys: give a secret or a JWKS")


def _claim_names(claims: policy_pb.Claims) -> ClaimNames:
    return ClaimNames(
        subject=claims.subject,
        tenant=claims.tenant or None,
        consumer=claims.consumer or None,
        plan=claims.plan or None,
        scopes=claims.scopes or None,
        roles=claims.roles or None,
    )


def _bearers(tokens: Iterable[policy_pb.BearerToken]) -> dict[bytes, Grant]:
    bearers: dict[bytes, Grant] = {}
    for token in tokens:
        if len(token.sha256) != _DIGEST_SIZE:
            raise PolicyRejected(f"bearer token {token.name!r} has no SHA-256 digest")
        if token.sha256 in bearers:
            raise PolicyRejected(f"bearer token {token.name!r} is the same secret as another one")
        bearers[token.sha256] = _bearer_grant(token)
    return bearers


def _bearer_grant(token: policy_pb.BearerToken) -> Grant:
    where = f"of bearer token {token.name!r}"
    name = _text(token.name, "a bearer token's name")
    subject = _optional(token.subject, f"subject {where}")
    consumer = _optional(token.consumer, f"consumer {where}")
    return Grant(
        subject=subject or name,
        consumer=consumer or subject or name,
        named_consumer=consumer,
        tenant=_optional(token.tenant, f"tenant {where}"),
        plan=_optional(token.plan, f"plan {where}"),
        key_id=name,
        scopes=frozenset(token.scopes),
        roles=frozenset(token.roles),
        forward=token.forward,
    )


def _optional(text: str, what: str) -> str | None:
    return _text(text, what) if text else None


def _text(text: str, what: str) -> str:
    try:
        return identity_part(text)
    except UnusablePart as error:
        raise PolicyRejected(f"{what} {error}") from error


def _unique(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise PolicyRejected(f"{what} {name!r} is there twice")
        seen.add(name)


def _has_unknown_fields(message: Message) -> bool:
    """Whether a newer control plane says something, at any depth, that this process would silently not enforce."""
    return len(UnknownFieldSet(message)) > 0 or any(_has_unknown_fields(child) for child in _children(message))


def _children(message: Message) -> Iterator[Message]:
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            yield from value if descriptor.is_repeated else (value,)
