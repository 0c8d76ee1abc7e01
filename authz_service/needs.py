"""What must have been told beside the policy before a kind of credential can be judged.

API keys are looked up among those that were made at run time. Where any credential may be a consumer's, whoever it is
must be told from the stored consumers: else a consumer would be on the default plan, and a subject of the same name
could pass for it. Where nothing names a consumer but those that are declared, nothing is waited for.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from authz_service.policy import Policy
from service_kit.contract import (
    BESIDE_TYPES,
    CONSUMER_TYPE,
    CREDENTIAL_API_KEY,
    CREDENTIAL_BEARER,
    CREDENTIAL_JWT,
    CREDENTIAL_MTLS,
    IDENTITY_TYPES,
)

NOTHING: Final[frozenset[str]] = frozenset()


def needs(policy: Policy) -> Mapping[str, frozenset[str]]:
    """By kind of credential the types that must have been told, if only to say that there are none."""
    consumers = frozenset({CONSUMER_TYPE}) if _knows_stored_consumers(policy) else NOTHING
    return {
        CREDENTIAL_API_KEY: NOTHING if policy.key_settings is None else frozenset(IDENTITY_TYPES),
        CREDENTIAL_JWT: consumers if policy.tokens is None else frozenset(BESIDE_TYPES),
        CREDENTIAL_BEARER: consumers,
        CREDENTIAL_MTLS: consumers,
    }


def _knows_stored_consumers(policy: Policy) -> bool:
    """Whether somebody may be a consumer that is not declared."""
    return (
        policy.key_settings is not None
        or any(issuer.claims.consumer is not None for issuer in policy.issuers.values())
        or not policy.consumers.keys() >= {*_named_consumers(policy)}
    )


def _named_consumers(policy: Policy) -> Iterator[str]:
    """By the policy itself."""
    named = [grant.named_consumer for grant in policy.bearers.values()]
    if policy.clients is not None:
        named += [client.consumer for client in policy.clients.declared]
    return (name for name in named if name is not None)
