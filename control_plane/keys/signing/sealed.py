"""Signing keys as they are kept: encrypted under the pepper, which lies elsewhere, so that a copy of the database is no
copy of them.

Errors: CannotUnseal
"""

import json
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from control_plane.keys.signing.ring import Ring
from service_kit.api_keys import RandomBytes
from service_kit.gateway_tokens import signing_key

_PURPOSE: Final = b"tollgate signing keys 1"
_KEY_LENGTH: Final = 32
_NONCE_LENGTH: Final = 12


class CannotUnseal(Exception):  # noqa: N818 - what happened
    """They were sealed under another pepper, or are damaged."""


def sealed(ring: Ring, pepper: bytes, random_bytes: RandomBytes) -> bytes:
    """The keys, readable to whoever has the pepper."""
    text = json.dumps([[key.number.hex(), key.signs_from] for key in ring])
    nonce = random_bytes(_NONCE_LENGTH)
    return nonce + _cipher(pepper).encrypt(nonce, text.encode(), _PURPOSE)


def unsealed(data: bytes, pepper: bytes) -> Ring:
    """The keys that were sealed."""
    nonce, encrypted = data[:_NONCE_LENGTH], data[_NONCE_LENGTH:]
    try:
        entries = json.loads(_cipher(pepper).decrypt(nonce, encrypted, _PURPOSE))
        return tuple(signing_key(bytes.fromhex(number), int(signs_from)) for number, signs_from in entries)
    except (InvalidTag, ValueError, TypeError) as error:
        raise CannotUnseal("the signing keys were sealed under another pepper, or are damaged") from error


def _cipher(pepper: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), _KEY_LENGTH, salt=None, info=_PURPOSE).derive(pepper))
