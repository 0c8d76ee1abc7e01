"""Looks an API key up by its id, and compares its hash in constant time.

A key that is unknown, wrong, expired, revoked or of nobody gets one answer, after the same steps: only who holds the
secret learns more, and only that the address is not one of the key's.
"""

from dataclasses import replace

from authz_service.case import INVALID_TOKEN_CHALLENGE, Case, Denial
from authz_service.identity import Grant
from authz_service.keys import ApiKey
from authz_service.live_keys import Dead
from authz_service.networks import client_address
from service_kit.contract import CREDENTIAL_API_KEY

UNKNOWN = Denial(
    401, "unknown_api_key", "The API key is not accepted: check it, or ask for a new one.", INVALID_TOKEN_CHALLENGE
)
ADDRESS_NOT_ALLOWED = Denial(403, "address_not_allowed", "The API key may not be used from your address.")


def api_key(case: Case) -> Case | Denial:
    """The case with what its API key grants; other kinds of credential pass by."""
    presented, settings = case.credential, case.policy.key_settings
    if presented is None or settings is None or presented.kind != CREDENTIAL_API_KEY:
        return case
    key = case.known.presented(presented.token, settings, case.now)
    if isinstance(key, Dead):
        return replace(UNKNOWN, reason=key.reason)
    allowed = replace(case, grant=_grant(key, forward=settings.forward))
    if key.networks is None or client_address(case.ask.client) in key.networks:
        return allowed
    return allowed.lacking(ADDRESS_NOT_ALLOWED, report=settings.report_addresses)


def _grant(key: ApiKey, *, forward: bool) -> Grant:
    return Grant(
        subject=key.consumer,
        consumer=key.consumer,
        named_consumer=key.consumer,
        tenant=None,
        plan=None,
        key_id=key.id,
        scopes=key.scopes,
        roles=key.roles,
        forward=forward,
        assigned_plan=key.plan,
        models=key.models,
    )
