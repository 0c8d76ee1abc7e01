"""Looks an opaque bearer token up by its SHA-256; the tokens themselves never reach this process's policy."""

import hashlib
from dataclasses import replace

from authz_service.case import INVALID_TOKEN_CHALLENGE, Case, Denial
from service_kit.contract import CREDENTIAL_BEARER

UNKNOWN = Denial(
    401, "unknown_token", "The bearer token is not known: check it, or ask for a new one.", INVALID_TOKEN_CHALLENGE
)


def bearer(case: Case) -> Case | Denial:
    """The case with what its bearer token grants; other kinds of credential pass by."""
    if case.credential is None or case.credential.kind != CREDENTIAL_BEARER:
        return case
    # A plain lookup tells no secret by its time: the client chooses a token, not the digest that is compared.
    grant = case.policy.bearers.get(hashlib.sha256(case.credential.token).digest())
    return UNKNOWN if grant is None else replace(case, grant=grant)
