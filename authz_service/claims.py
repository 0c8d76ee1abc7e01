"""Turns the claims of a token whose signature holds into a grant, and refuses claims of another type than they must be.

Time is an argument. A claim that JSON spells `null` counts as absent; any other value of a wrong type is a refusal, so
that no rule is decided on a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite

from authz_service.identity import Grant
from authz_service.jose import CLAIM, EXPIRED, PREMATURE, TokenRefused
from service_kit.contract import LATEST_DATE
from service_kit.gateway_tokens import KEY_ID_CLAIM
from service_kit.identity_part import UnusablePart, identity_part

Claims = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claim carries which part; None: the part is not read from tokens."""

    subject: str
    tenant: str | None
    consumer: str | None
    plan: str | None
    scopes: str | None
    roles: str | None


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How strictly an issuer's dates are read, in seconds; `longest` 0: no bound."""

    leeway: int
    longest: int


def expiry(claims: Claims, lifetime: Lifetime, now: float) -> float:
    """The token's `exp`, when the token is valid now; TokenRefused when it is not, or not yet."""
    expires = _date(claims, "exp")
    if expires is None:
        raise TokenRefused("exp_missing", code=CLAIM)
    if now >= expires + lifetime.leeway:
        raise TokenRefused("expired", code=EXPIRED)
    issued = _date(claims, "iat")
    for start in (issued, _date(claims, "nbf")):
        if start is not None and start > now + lifetime.leeway:
            raise TokenRefused("not_yet_valid", code=PREMATURE)
    if lifetime.longest and (issued is None or expires - issued > lifetime.longest):
        raise TokenRefused("lifetime", code=CLAIM)
    return expires


def grant_from_claims(claims: Claims, names: ClaimNames, *, key_id: str | None, forward: bool) -> Grant:
    """What these verified claims grant. The consumer is the subject only where no claim was chosen for it."""
    subject = _part(claims, names.subject)
    if subject is None:
        raise TokenRefused("subject_missing", code=CLAIM)
    named = _part(claims, names.consumer)
    return Grant(
        subject=subject,
        consumer=named if names.consumer else subject,
        named_consumer=named,
        tenant=_part(claims, names.tenant),
        plan=_part(claims, names.plan),
        key_id=key_id,
        scopes=_words(claims, names.scopes),
        roles=_words(claims, names.roles),
        forward=forward,
    )


def living_by_its_key(grant: Grant, claims: Claims) -> Grant:
    """The grant of one of the gateway's own tokens, which says for which API key it was given."""
    key_id = _part(claims, KEY_ID_CLAIM)
    if key_id is None:
        raise TokenRefused("key_id_missing", code=CLAIM)
    return replace(grant, key_id=key_id, lives_by=key_id)


def _date(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRefused(f"{name}_type", code=CLAIM)
    if not 0 <= value <= LATEST_DATE or not isfinite(value):
        raise TokenRefused(f"{name}_range", code=CLAIM)
    return float(value)


def _part(claims: Claims, name: str | None) -> str | None:
    value = None if name is None else claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise TokenRefused("claim_type", code=CLAIM)
    try:
        return identity_part(value)
    except UnusablePart as error:
        raise TokenRefused("claim_text", code=CLAIM) from error


def _words(claims: Claims, name: str | None) -> frozenset[str]:
    """Space-separated text (RFC 6749 3.3) or a list of texts; an element of a list is one word, spaces and all."""
    value = None if name is None else claims.get(name)
    if value is None:
        return frozenset()
    words = value.split(" ") if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise TokenRefused("claim_type", code=CLAIM)
    return frozenset(words) - {""}
