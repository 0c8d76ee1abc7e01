"""What an API key looks like, and how one is kept: `tgk_<id>_<secret><check>`.

The id is public: lists, logs and denials name it. The check lets secret scanners and the authorizer tell a key from a
look-alike without a lookup. What is kept of a key is its hash under a pepper that lies elsewhere, never its text.
"""

import hashlib
import hmac
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

PREFIX: Final = "tgk_"
# What secret scanners look for.
PATTERN: Final = "tgk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}"
ID_LENGTH: Final = 12
ID_PATTERN: Final = "[0-9A-Za-z]{12}"
# 256 bits of base62.
SECRET_LENGTH: Final = 43
CHECK_LENGTH: Final = 6
LENGTH: Final = len(PREFIX) + ID_LENGTH + 1 + SECRET_LENGTH + CHECK_LENGTH
SHORTEST_PEPPER: Final = 32  # bytes; as long as what it makes
HASH_LENGTH: Final = 32  # bytes
# How a hash is written in configurations.
HASH_SCHEME: Final = "hmac-sha256"

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# The greatest multiple of 62 that a byte can hold: bytes from here on would favour the first digits.
_FAIR: Final = 256 - 256 % len(_DIGITS)
_KEY: Final = re.compile(PATTERN.encode())
_WRITTEN_HASH: Final = re.compile(HASH_SCHEME + ":([0-9a-fA-F]{64})")

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Key:
    """A key as its holder keeps it; the text is shown once."""

    id: str
    text: str = field(repr=False)


def new_key(random_bytes: RandomBytes) -> Key:
    """A key that nobody has yet."""
    key_id = _random_digits(ID_LENGTH, random_bytes)
    body = f"{PREFIX}{key_id}_{_random_digits(SECRET_LENGTH, random_bytes)}"
    return Key(key_id, body + _check(body.encode()))


def key_id(text: bytes) -> str | None:
    """The id that stands in a key's text; None where it is no key of ours, or its check is wrong."""
    if len(text) != LENGTH or not _KEY.fullmatch(text):
        return None
    if text[-CHECK_LENGTH:] != _check(text[:-CHECK_LENGTH]).encode():
        return None
    return text[len(PREFIX) : len(PREFIX) + ID_LENGTH].decode()


def key_hash(pepper: bytes, text: bytes) -> bytes:
    """What is kept of a key; compare it with `hmac.compare_digest`."""
    return hmac.digest(pepper, text, hashlib.sha256)


def written_hash(digest: bytes) -> str:
    """A hash as configurations write it."""
    return f"{HASH_SCHEME}:{digest.hex()}"


def read_hash(written: str) -> bytes | None:
    """The hash that is written so; None where none is."""
    match = _WRITTEN_HASH.fullmatch(written)
    return None if match is None else bytes.fromhex(match[1])


def _check(body: bytes) -> str:
    """CRC-32 in six digits, which hold 62^6 > 2^32 values."""
    return _digits(zlib.crc32(body), CHECK_LENGTH)


def _digits(number: int, length: int) -> str:
    found = ""
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        found = _DIGITS[digit] + found
    return found


def _random_digits(length: int, random_bytes: RandomBytes) -> str:
    found = ""
    while len(found) < length:
        found += "".join(_DIGITS[byte % len(_DIGITS)] for byte in random_bytes(length) if byte < _FAIR)
    return found[:length]
