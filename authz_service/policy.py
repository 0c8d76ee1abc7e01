"""The authorizer's policy, parsed whole or not at all from the control plane's message.

Keys are prepared, names checked and texts encoded here, once, so that a decision trusts what it reads. PolicyRejected
becomes the NACK that an administrator sees: it names the culprit and never quotes a secret, a key or a digest.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from authz_service.certificates import Clients, clients
from authz_service.claims import ClaimNames, Lifetime
from authz_service.identity import Grant
from authz_service.jose import media_type
from authz_service.keys import ApiKey, Consumer, KeySettings, api_key, consumer, key_settings
from authz_service.wire import optional, parsed, part, unique
from service_kit.contract import LONGEST_LEEWAY
from service_kit.gateway_tokens import LONGEST_LIFETIME, Terms
from service_kit.subscription import PolicyRejected
from service_kit.verification_keys import KeySet, UnusableKeys, jwks_keys, secret_keys
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

_DIGEST_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer whose tokens are accepted; `keys` None: the control plane has not fetched them yet."""

    name: str
    issuer: str
    audiences: tuple[str, ...]
    algorithms: frozenset[str]
    keys: KeySet | None
    fetched: bool
    type: str | None
    claims: ClaimNames
    lifetime: Lifetime
    forward: bool
    # Whether it is the gateway itself, whose tokens live by an API key.
    is_gateway: bool = False


@dataclass(frozen=True, slots=True)
class GatewayTokens:
    """The tokens that the gateway issues, and the listeners that have its endpoints."""

    terms: Terms
    listeners: frozenset[str]


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom the gateway knows.

    Issuers by `iss`, bearer grants by the token's SHA-256, consumers by encoded name, keys by id.
    """

    issuers: Mapping[str, Issuer]
    bearers: Mapping[bytes, Grant] = field(repr=False)
    consumers: Mapping[str, Consumer]
    keys: Mapping[str, ApiKey]
    key_settings: KeySettings | None
    clients: Clients | None
    plans: frozenset[str]
    default_plan: str | None
    tokens: GatewayTokens | None = None


def parse_policy(data: bytes) -> Policy:
    """The policy in these bytes; PolicyRejected says what is wrong with it."""
    return _policy(parsed(policy_pb.AuthzPolicy, data, "the authorization policy"))


def _policy(message: policy_pb.AuthzPolicy) -> Policy:
    unique("jwt issuer name", (entry.name for entry in message.jwt))
    unique("jwt issuer", (entry.issuer for entry in message.jwt))
    unique("bearer token name", (token.name for token in message.bearer_tokens))
    unique("consumer", (entry.name for entry in message.consumers))
    unique("API key", (key.id for key in message.declared_keys))
    unique("plan", message.plans)
    plans = frozenset(part(plan, "a plan's name") for plan in message.plans)
    default_plan = optional(message.default_plan, "the default plan")
    if default_plan is not None and default_plan not in plans:
        raise PolicyRejected(f"the default plan {message.default_plan!r} is not among the plans: declare it")
    return Policy(
        issuers={entry.issuer: _issuer(entry) for entry in message.jwt},
        bearers=_bearers(message.bearer_tokens),
        consumers={part(entry.name, "a consumer's name"): consumer(entry) for entry in message.consumers},
        keys={entry.id: api_key(entry) for entry in message.declared_keys},
        key_settings=key_settings(message.api_keys) if message.HasField("api_keys") else None,
        clients=clients(message.mtls) if message.HasField("mtls") else None,
        plans=plans,
        default_plan=default_plan,
        tokens=_tokens(message) if message.HasField("tokens") else None,
    )


def _tokens(message: policy_pb.AuthzPolicy) -> GatewayTokens:
    tokens = message.tokens
    if not tokens.issuer or not tokens.audiences or not all(tokens.audiences):
        raise PolicyRejected("the gateway's tokens need an issuer and audiences")
    if tokens.issuer in {entry.issuer for entry in message.jwt}:
        raise PolicyRejected(f"the gateway is not the only issuer {tokens.issuer!r}")
    if not 0 < tokens.lifetime_seconds <= LONGEST_LIFETIME:
        raise PolicyRejected(f"the gateway's tokens live for at most {LONGEST_LIFETIME} s")
    if not message.HasField("api_keys"):
        raise PolicyRejected("the gateway's tokens are for API keys, and it knows none")
    terms = Terms(tokens.issuer, tuple(tokens.audiences), tokens.lifetime_seconds)
    return GatewayTokens(terms, frozenset(tokens.listeners))


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
        algorithms=frozenset(entry.algorithms),
        keys=_keys(entry, where),
        fetched=entry.fetched,
        type=media_type(entry.type) if entry.type else None,
        claims=_claim_names(entry.claims),
        lifetime=Lifetime(leeway=entry.leeway_seconds, longest=entry.max_lifetime_seconds),
        forward=entry.forward,
    )


def _keys(entry: policy_pb.JwtIssuer, where: str) -> KeySet | None:
    if not entry.algorithms:
        raise PolicyRejected(f"{where} names no algorithm")
    try:
        if entry.WhichOneof("keys") == "secret":
            return secret_keys(entry.secret, entry.algorithms)
        if entry.WhichOneof("keys") == "jwks":
            return jwks_keys(entry.jwks, entry.algorithms)
    except UnusableKeys as error:
        raise PolicyRejected(f"{where}: {error}") from error
    if entry.fetched:
        return None
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
    name = part(token.name, "a bearer token's name")
    subject = optional(token.subject, f"subject {where}")
    named = optional(token.consumer, f"consumer {where}")
    return Grant(
        subject=subject or name,
        consumer=named or subject or name,
        named_consumer=named,
        tenant=optional(token.tenant, f"tenant {where}"),
        plan=optional(token.plan, f"plan {where}"),
        key_id=name,
        scopes=frozenset(token.scopes),
        roles=frozenset(token.roles),
        forward=token.forward,
    )
