"""Verifies a JSON Web Token: the issuer's own keys, algorithms and audiences decide, the token's header only asks.

The unverified `iss` chooses the issuer, `kid` one of its keys; then PyJWT verifies signature, issuer and audience, and
this process's clock the dates. `jku`, `x5u`, `x5c` and `jwk` headers are never looked at.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import jwt as pyjwt
from jwt.exceptions import InvalidAudienceError, MissingRequiredClaimError, PyJWTError

from authz_service.case import INVALID_TOKEN_CHALLENGE, Case, Credential, Denial
from authz_service.claims import expiry, grant_from_claims, living_by_its_key
from authz_service.identity import Grant
from authz_service.jose import AUDIENCE, CLAIM, EXPIRED, INVALID, PREMATURE, TokenRefused, Unverified, read_unverified
from authz_service.policy import Issuer, Policy
from service_kit.contract import CREDENTIAL_JWT
from service_kit.identity_part import identity_part
from service_kit.verification_keys import KeySet, VerificationKey

MESSAGES: Final[Mapping[str, str]] = {
    INVALID: "The token is not accepted: get a new one from an issuer that this gateway trusts.",
    EXPIRED: "The token has expired: get a new one.",
    PREMATURE: "The token is not valid yet: wait, or check the clock of its issuer.",
    AUDIENCE: "The token is meant for another audience: ask its issuer for one for this gateway.",
    CLAIM: "A claim that this gateway needs is missing or unusable: ask the issuer of the token.",
}


NO_KEY: Final = Denial(401, INVALID, MESSAGES[INVALID], INVALID_TOKEN_CHALLENGE, "no_key")
UNAVAILABLE: Final = Denial(
    503, "keys_unavailable", "The keys of the token's issuer are not there yet: try again in a moment."
)


def jwt(case: Case) -> Case | Denial:
    """The case with what its token grants; other kinds of credential pass by."""
    if case.credential is None or case.credential.kind != CREDENTIAL_JWT:
        return case
    grant = case.tokens.find(case.credential.token, case.now)
    if grant is not None:
        return replace(case, grant=grant)
    try:
        return _judged(case, case.credential)
    except TokenRefused as refused:
        return Denial(401, refused.code, MESSAGES[refused.code], INVALID_TOKEN_CHALLENGE, refused.reason)


def _judged(case: Case, credential: Credential) -> Case | Denial:
    token = read_unverified(credential.token)
    issuer = _issuer(case.policy, token)
    if issuer.type is not None and token.type != issuer.type:
        raise TokenRefused("type")
    if issuer.keys is None:
        return UNAVAILABLE
    # The keys are bound to the issuer's algorithms: one that it does not name finds no key.
    chosen = issuer.keys.select(kid=token.kid, algorithm=token.algorithm)
    if chosen is None:
        return replace(NO_KEY, unknown_key_of=issuer.issuer) if _may_be_new(token, issuer, issuer.keys) else NO_KEY
    return replace(case, grant=_verified(case, credential, issuer, chosen))


def _may_be_new(token: Unverified, issuer: Issuer, keys: KeySet) -> bool:
    """Whether the issuer may have published the token's key since its keys were fetched."""
    known = {key.kid for key in keys.keys}
    return issuer.fetched and token.kid not in {None, *known} and token.algorithm in issuer.algorithms


def _verified(case: Case, credential: Credential, issuer: Issuer, chosen: tuple[VerificationKey, pyjwt.PyJWK]) -> Grant:
    key, jwk = chosen
    claims = _decoded(credential.token, jwk, issuer)
    expires = expiry(claims, issuer.lifetime, case.now)
    grant = grant_from_claims(claims, issuer.claims, key_id=_key_id(key.kid), forward=issuer.forward)
    if issuer.is_gateway:
        grant = living_by_its_key(grant, claims)
    case.tokens.keep(credential.token, grant, now=case.now, expires=expires)
    return grant


def _issuer(policy: Policy, token: Unverified) -> Issuer:
    name = token.claims.get("iss")
    issuer = policy.issuers.get(name) if isinstance(name, str) else None
    if issuer is None:
        raise TokenRefused("unknown_issuer")
    return issuer


def _decoded(token: bytes, key: pyjwt.PyJWK, issuer: Issuer) -> dict[str, Any]:  # Any: claims, checked in claims.py
    """The claims, once the signature, `iss` and `aud` hold. The dates are checked by our clock, not by PyJWT's."""
    try:
        return pyjwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=issuer.audiences,
            issuer=issuer.issuer,
            options={
                "require": ["exp", "iss", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "enforce_minimum_key_length": True,
            },
        )
    except InvalidAudienceError as error:
        raise TokenRefused("audience", code=AUDIENCE) from error
    except MissingRequiredClaimError as error:
        raise TokenRefused(f"{error.claim}_missing", code=CLAIM) from error
    except PyJWTError as error:
        raise TokenRefused(type(error).__name__) from error


def _key_id(kid: str | None) -> str | None:
    return None if kid is None else identity_part(kid)
