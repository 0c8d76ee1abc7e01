"""Finds the one credential of a request, of a kind that the route accepts.

Two credentials are refused, not ranked: whoever forwards the request might choose the other one. The certificate of the
connection is one where the route accepts certificates. CONTRACTS 14 tells the kinds in `Authorization: Bearer` apart: a
value with two dots is a JWT, one with our prefix an API key, every other one a bearer token.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from authz_service.case import CHALLENGE, INVALID_REQUEST_CHALLENGE, INVALID_TOKEN_CHALLENGE, Case, Credential, Denial
from authz_service.challenge import how_to_send
from authz_service.identity import Grant
from authz_service.keys import KeySettings
from authz_service.places import AUTHORIZATION, Found, found_in
from service_kit.api_keys import PREFIX
from service_kit.contract import (
    CREDENTIAL_ANONYMOUS,
    CREDENTIAL_API_KEY,
    CREDENTIAL_BEARER,
    CREDENTIAL_JWT,
    CREDENTIAL_MTLS,
    LONGEST_CREDENTIAL,
)

# RFC 9110 11.4: the scheme is case-insensitive, one or more spaces follow. No comma: it joins two headers into one.
_BEARER: Final = re.compile(rb"(?i:bearer) +([\x21-\x2b\x2d-\x7e]+)")
_KEY_PREFIX: Final = PREFIX.encode()
_DOTS_OF_A_JWT: Final = 2

ANONYMOUS: Final = Grant(
    subject=CREDENTIAL_ANONYMOUS,
    consumer=CREDENTIAL_ANONYMOUS,
    named_consumer=None,
    tenant=None,
    plan=None,
    key_id=None,
    scopes=frozenset(),
    roles=frozenset(),
    forward=False,
)
AMBIGUOUS = Denial(
    400,
    "ambiguous_credentials",
    "Send one credential, in one place.",
    INVALID_REQUEST_CHALLENGE,
)
SKEWED = Denial(
    503, "policy_skew", "The gateway's parts run different versions of its configuration: try again in a moment."
)


def credential(case: Case) -> Case | Denial:
    """The case with its credential, or as nobody's where the route lets nobody in."""
    accept, policy = case.ask.accept, case.policy
    if (CREDENTIAL_API_KEY in accept and policy.key_settings is None) or (
        CREDENTIAL_MTLS in accept and policy.clients is None
    ):
        return replace(SKEWED, reason="the route accepts a kind of credential that the policy does not")
    found = tuple(_credentials(case))
    if not found:
        return replace(case, grant=ANONYMOUS) if case.ask.anonymous else _missing(case)
    if len(found) > 1:
        return AMBIGUOUS
    (only,) = found
    if only is None or len(only.token) > LONGEST_CREDENTIAL:
        return _malformed(case)
    return replace(case, credential=only) if only.kind in accept else _not_accepted(case)


def _credentials(case: Case) -> Iterator[Credential | None]:
    """Everything that is presented; None for what cannot be read."""
    for found in found_in(case.ask, case.policy.key_settings):
        yield _credential(found, case.policy.key_settings)
    if CREDENTIAL_MTLS in case.ask.accept and case.ask.certificate:
        yield Credential(CREDENTIAL_MTLS, b"")


def _credential(found: Found, settings: KeySettings | None) -> Credential | None:
    if not found.in_authorization:
        return Credential(CREDENTIAL_API_KEY, found.value, found.without)
    bearer = _BEARER.fullmatch(found.value)
    return None if bearer is None else Credential(_kind(bearer[1], settings), bearer[1], found.without)


def _kind(token: bytes, settings: KeySettings | None) -> str:
    if token.count(b".") == _DOTS_OF_A_JWT:
        return CREDENTIAL_JWT
    keys = settings is not None and AUTHORIZATION in settings.headers
    return CREDENTIAL_API_KEY if keys and token.startswith(_KEY_PREFIX) else CREDENTIAL_BEARER


def _missing(case: Case) -> Denial:
    return Denial(401, "missing_credential", f"This route needs a credential: {_how(case)}.", CHALLENGE)


def _malformed(case: Case) -> Denial:
    return Denial(
        401,
        "malformed_credential",
        f"The credential cannot be read: {_how(case)}, at most {LONGEST_CREDENTIAL} bytes.",
        INVALID_TOKEN_CHALLENGE,
    )


def _not_accepted(case: Case) -> Denial:
    return Denial(
        401,
        "credential_not_accepted",
        f"This route accepts another kind of credential: {' or '.join(sorted(case.ask.accept))}.",
        INVALID_TOKEN_CHALLENGE,
    )


def _how(case: Case) -> str:
    return how_to_send(case.ask.accept, case.policy.key_settings)
