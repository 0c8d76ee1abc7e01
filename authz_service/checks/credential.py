"""Finds the one credential of a request: exactly one `Authorization: Bearer`, of a kind that the route accepts.

Two credentials are refused, not ranked: whoever forwards the request might choose the other one. CONTRACTS 14 tells the
kinds apart: a value with two dots is a JWT, every other one a bearer token.
"""

import re
from dataclasses import replace
from typing import Final

from authz_service.case import CHALLENGE, INVALID_TOKEN_CHALLENGE, Case, Credential, Denial
from service_kit.contract import CREDENTIAL_BEARER, CREDENTIAL_JWT

LONGEST: Final = 8192
# RFC 9110 11.4: the scheme is case-insensitive, one or more spaces follow. No comma: it joins two headers into one.
_BEARER: Final = re.compile(rb"(?i:bearer) +([\x21-\x2b\x2d-\x7e]+)")
_DOTS_OF_A_JWT: Final = 2

MISSING = Denial(
    401, "missing_credential", "This route needs a credential: send `Authorization: Bearer TOKEN`.", CHALLENGE
)
AMBIGUOUS = Denial(
    400,
    "ambiguous_credentials",
    "Send one `Authorization` header with one credential.",
    f'{CHALLENGE}, error="invalid_request"',
)
MALFORMED = Denial(
    401,
    "malformed_credential",
    f"The credential cannot be read: send `Authorization: Bearer TOKEN`, at most {LONGEST} bytes.",
    INVALID_TOKEN_CHALLENGE,
)


def credential(case: Case) -> Case | Denial:
    """The case with its credential."""
    values = case.ask.header("authorization")
    if not values:
        return MISSING
    # Envoy joins repeated headers it knows by a comma, even where it hands over raw ones.
    if len(values) > 1 or b"," in values[0]:
        return AMBIGUOUS
    found = _BEARER.fullmatch(values[0])
    if found is None or len(found[1]) > LONGEST:
        return MALFORMED
    token = found[1]
    kind = CREDENTIAL_JWT if token.count(b".") == _DOTS_OF_A_JWT else CREDENTIAL_BEARER
    if kind not in case.ask.accept:
        return _not_accepted(case.ask.accept)
    return replace(case, credential=Credential(kind, token))


def _not_accepted(accept: frozenset[str]) -> Denial:
    return Denial(
        401,
        "credential_not_accepted",
        f"This route accepts another kind of credential: {' or '.join(sorted(accept))}.",
        INVALID_TOKEN_CHALLENGE,
    )
