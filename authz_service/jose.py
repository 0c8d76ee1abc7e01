"""Reads a compact JWS (RFC 7515) strictly, before its signature is checked; refuses what is open to two readings.

Nothing read here may be believed, logged or shown: it chooses the issuer and the key that must then confirm it. PyJWT
parses the same bytes again; refusing duplicate members and unknown spellings here makes the two readings one.
"""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from service_kit.strict_json import strict_object

_SEGMENT: Final = re.compile(rb"[A-Za-z0-9_-]+")
_SEGMENTS: Final = 3

# What a refusal tells the client. "invalid_token" says no more, whether the signature was wrong or never looked at.
INVALID: Final = "invalid_token"
EXPIRED: Final = "expired_token"
PREMATURE: Final = "premature_token"
AUDIENCE: Final = "wrong_audience"
CLAIM: Final = "invalid_claim"


class TokenRefused(Exception):  # noqa: N818 - a verdict on data, mapped to a denial in checks/jwt.py
    """A token that is not accepted: a code for the client, a reason for the log; neither quotes the token."""

    def __init__(self, reason: str, *, code: str = INVALID) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says about itself; anybody may have written it."""

    algorithm: str
    kid: str | None
    type: str | None
    claims: Mapping[str, object]


def read_unverified(token: bytes) -> Unverified:
    """The token's algorithm, key id and claims, all unverified; TokenRefused where it is not strictly a JWS."""
    segments = token.split(b".")
    if len(segments) != _SEGMENTS:
        raise TokenRefused("segments")
    header = _object(_decoded(segments[0]), "header")
    claims = _object(_decoded(segments[1]), "payload")
    _decoded(segments[2])
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise TokenRefused("algorithm")
    # RFC 7515 4.1.11: an extension that is not understood must be refused; none is. RFC 7797: `b64` is an extension.
    if "crit" in header or "b64" in header:
        raise TokenRefused("critical_extension")
    return Unverified(algorithm, _kid(header), _type(header), claims)


def _kid(header: Mapping[str, object]) -> str | None:
    if "kid" not in header:
        return None
    kid = header["kid"]
    if not isinstance(kid, str):
        raise TokenRefused("kid_type")
    return kid


def _type(header: Mapping[str, object]) -> str | None:
    """The media type in its short form (RFC 7515, 4.1.9): `application/at+JWT` is `at+jwt`."""
    value = header.get("typ")
    return media_type(value) if isinstance(value, str) else None


def media_type(text: str) -> str:
    """The name by which two spellings of a `typ` are compared."""
    name = text.lower()
    short = name.removeprefix("application/")
    return name if "/" in short else short


def _object(data: bytes, what: str) -> dict[str, object]:
    try:
        return strict_object(data.decode("utf-8"))  # json.loads would also guess UTF-16 and 32
    except ValueError as error:
        raise TokenRefused(f"{what}_json") from error


def _decoded(segment: bytes) -> bytes:
    """The bytes of a base64url segment in its one canonical spelling: no padding, no stray bits (RFC 7515 2)."""
    if not _SEGMENT.fullmatch(segment):
        raise TokenRefused("base64")
    try:
        data = urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except binascii.Error as error:
        raise TokenRefused("base64") from error
    if urlsafe_b64encode(data).rstrip(b"=") != segment:
        raise TokenRefused("base64")
    return data
