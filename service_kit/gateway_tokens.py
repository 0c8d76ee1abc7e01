"""The gateway's own tokens: what they say, and the keys that they are signed with.

A token is good for a few minutes and names the API key that it was given for, with which it dies. Time and random bytes
are arguments; private keys show neither in a log nor in a representation.
"""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from service_kit.api_keys import RandomBytes

ALGORITHM: Final = "ES256"
# RFC 9068, 2.1.
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - a media type
LONGEST_LIFETIME: Final = 300
# Seconds by which the clocks of those who issue and those who verify may differ.
LEEWAY: Final = 10
TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
KEYS_PATH: Final = "/.well-known/jwks.json"
DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
PATHS: Final = (TOKEN_PATH, KEYS_PATH, DISCOVERY_PATH)
# Private claims.
CONSUMER_CLAIM: Final = "consumer"
TENANT_CLAIM: Final = "tenant"
PLAN_CLAIM: Final = "plan"
KEY_ID_CLAIM: Final = "key_id"
# As the part of an identity is written.
MODELS_CLAIM: Final = "models"
# Whether the key is good from everywhere; whoever does not know the networks of keys must ask about the others.
ANYWHERE_CLAIM: Final = "anywhere"

PRIVATE_KEY_LENGTH: Final = 32  # bytes
_COORDINATE_LENGTH: Final = 32
# The order of P-256 (FIPS 186-5). 64 more bits than it has leave no number noticeably more likely.
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_DRAWN: Final = PRIVATE_KEY_LENGTH + 8
_JTI_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs from a moment on, in seconds since the epoch, until the next one does."""

    id: str
    signs_from: int
    number: bytes = field(repr=False)
    private: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Terms:
    """What all tokens of a gateway have in common; `lifetime` in seconds."""

    issuer: str
    audiences: tuple[str, ...]
    lifetime: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a token is for: its API key, which may end (seconds since the epoch, 0: never), and what it is for.

    `anywhere`: the key may be used from every address.
    """

    key_id: str
    consumer: str
    tenant: str | None
    plan: str | None
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    expires: int
    anywhere: bool
    # The part of the identity by this name; None: not restricted.
    models: str | None = None


@dataclass(frozen=True, slots=True)
class Minted:
    """A token, and for how many seconds it is good."""

    token: str = field(repr=False)
    id: str
    lifetime: int


def drawn_signing_key(signs_from: int, random_bytes: RandomBytes) -> SigningKey:
    """A key that nobody has yet."""
    number = int.from_bytes(random_bytes(_DRAWN)) % (_ORDER - 1) + 1
    return signing_key(number.to_bytes(PRIVATE_KEY_LENGTH), signs_from)


def signing_key(number: bytes, signs_from: int) -> SigningKey:
    """The key with this number; ValueError where there is none."""
    value = int.from_bytes(number)
    if len(number) != PRIVATE_KEY_LENGTH or not 0 < value < _ORDER:
        raise ValueError("the number is that of no key on P-256")
    private = ec.derive_private_key(value, ec.SECP256R1())
    return SigningKey(_thumbprint(private), signs_from, number, private)


def signing(keys: Sequence[SigningKey], now: float) -> SigningKey | None:
    """The key that signs now: of those whose time has come the last, else the one whose time comes first."""
    begun = [key for key in keys if key.signs_from <= now]
    if begun:
        return max(begun, key=lambda key: (key.signs_from, key.id))
    return min(keys, key=lambda key: (key.signs_from, key.id), default=None)


def public_keys(keys: Iterable[SigningKey]) -> str:
    """A JSON Web Key Set with what is public of the keys."""
    published = ({**_jwk(key.private), "alg": ALGORITHM, "kid": key.id, "use": "sig"} for key in keys)
    return json.dumps({"keys": sorted(published, key=lambda jwk: jwk["kid"])}, sort_keys=True)


def minted(
    key: SigningKey, terms: Terms, holder: Holder, *, now: float, random_bytes: RandomBytes, lifetime: int | None = None
) -> Minted:
    """A token for the holder, which ends with its key at the latest; the key has not ended yet."""
    began = int(now)
    ends = began + min(lifetime or terms.lifetime, terms.lifetime)
    if holder.expires:
        ends = min(ends, holder.expires)
    token_id = _text(random_bytes(_JTI_LENGTH))
    claims: dict[str, object] = {
        "iss": terms.issuer,
        "aud": terms.audiences[0] if len(terms.audiences) == 1 else list(terms.audiences),
        "sub": holder.consumer,
        "client_id": holder.key_id,  # RFC 9068, 2.2
        CONSUMER_CLAIM: holder.consumer,
        "scope": " ".join(holder.scopes),
        "roles": list(holder.roles),
        KEY_ID_CLAIM: holder.key_id,
        ANYWHERE_CLAIM: holder.anywhere,
        "jti": token_id,
        "iat": began,
        "nbf": began,
        "exp": ends,
    }
    if holder.plan is not None:
        claims[PLAN_CLAIM] = holder.plan
    if holder.tenant is not None:
        claims[TENANT_CLAIM] = holder.tenant
    if holder.models is not None:
        claims[MODELS_CLAIM] = holder.models
    headers = {"kid": key.id, "typ": TOKEN_TYPE}
    return Minted(jwt.encode(claims, key.private, ALGORITHM, headers), token_id, ends - began)


def _thumbprint(private: ec.EllipticCurvePrivateKey) -> str:
    required = json.dumps(_jwk(private), sort_keys=True, separators=(",", ":"))  # RFC 7638, 3
    return _text(hashlib.sha256(required.encode()).digest())


def _jwk(private: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = private.public_key().public_numbers()
    x, y = (_text(number.to_bytes(_COORDINATE_LENGTH)) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
