"""Ties a token of the gateway to the API key that it was given for: it is never more than the key is now.

A token is verified once and its key is looked at with each request: revoked or ended, it takes its tokens with it;
scopes, roles, plan, models and addresses are at most the key's own.
"""

from dataclasses import replace

from authz_service.case import INVALID_TOKEN_CHALLENGE, Case, Denial
from authz_service.live_keys import Dead
from authz_service.networks import client_address

KEY_IS_GONE = Denial(
    401,
    "invalid_token",
    "The token is not accepted any more: get a new one from this gateway.",
    INVALID_TOKEN_CHALLENGE,
)
ADDRESS_NOT_ALLOWED = Denial(403, "address_not_allowed", "The token may not be used from your address.")


def living_key(case: Case) -> Case | Denial:
    """The case with what is left of its token; tokens of others pass by."""
    grant, settings = case.grant, case.policy.key_settings
    if grant is None or grant.lives_by is None:
        return case
    key = case.known.named(grant.lives_by, case.now)
    if isinstance(key, Dead) or settings is None:
        return replace(KEY_IS_GONE, reason=f"key_{key.reason}" if isinstance(key, Dead) else "no_keys")
    if key.consumer != grant.named_consumer:
        return replace(KEY_IS_GONE, reason="key_of_another")
    scopes, roles = grant.scopes & key.scopes, grant.roles & key.roles
    left = replace(grant, scopes=scopes, roles=roles, assigned_plan=key.plan, models=key.models)
    bound = replace(case, grant=left)
    if key.networks is None or client_address(case.ask.client) in key.networks:
        return bound
    return bound.lacking(ADDRESS_NOT_ALLOWED, report=settings.report_addresses)
