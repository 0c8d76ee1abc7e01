"""The keys of the gateway's own tokens, parsed whole or not at all from the control plane's message."""

from dataclasses import dataclass, replace
from typing import Final

from authz_service.claims import ClaimNames, Lifetime
from authz_service.policy import Issuer, Policy
from authz_service.wire import parsed, unique
from service_kit.gateway_tokens import (
    ALGORITHM,
    CONSUMER_CLAIM,
    LEEWAY,
    LONGEST_LIFETIME,
    TOKEN_TYPE,
    SigningKey,
    public_keys,
    signing_key,
)
from service_kit.subscription import PolicyRejected
from service_kit.verification_keys import KeySet, jwks_keys
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

# Plan, tenant and what else a key may lose while its tokens live are those of the key, whatever a token says.
_CLAIMS: Final = ClaimNames(
    subject="sub", tenant=None, consumer=CONSUMER_CLAIM, plan=None, scopes="scope", roles="roles"
)


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The keys; `published` is the JSON Web Key Set that says what is public of them."""

    keys: tuple[SigningKey, ...] = ()
    published: str = '{"keys": []}'
    verifying: KeySet | None = None


def parse_signing_keys(data: bytes) -> SigningKeys:
    """The keys in these bytes; PolicyRejected says what is wrong with them, and quotes none."""
    message = parsed(policy_pb.SigningKeys, data, "the signing keys")
    try:
        keys = tuple(signing_key(item.private_key, item.signs_from) for item in message.keys)
    except ValueError as error:
        raise PolicyRejected(f"a signing key cannot be used: {error}") from error
    unique("signing key", (key.id for key in keys))
    if not keys:
        return SigningKeys()
    published = public_keys(keys)
    return SigningKeys(keys, published, jwks_keys(published, (ALGORITHM,)))


def with_gateway(policy: Policy, signing: SigningKeys) -> Policy:
    """The policy with the gateway among its issuers, where it issues tokens."""
    if policy.tokens is None:
        return policy
    terms = policy.tokens.terms
    gateway = Issuer(
        name="the gateway",
        issuer=terms.issuer,
        audiences=terms.audiences,
        algorithms=frozenset({ALGORITHM}),
        keys=signing.verifying,
        fetched=False,
        type=TOKEN_TYPE,
        claims=_CLAIMS,
        lifetime=Lifetime(leeway=LEEWAY, longest=LONGEST_LIFETIME),
        forward=False,
        is_gateway=True,
    )
    return replace(policy, issuers={**policy.issuers, terms.issuer: gateway})
