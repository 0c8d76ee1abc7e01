"""What a client must know of a response to ACK it, out of its bytes and past its resources, which are not read.

Both protocols' responses have these fields under the same numbers, and so one reader.
"""

from collections.abc import Iterator
from dataclasses import dataclass

VERSION, TYPE_URL, NONCE = 1, 4, 5
_LENGTH_DELIMITED = 2
_VARINT = 0


@dataclass(frozen=True)
class Envelope:
    """What an ACK repeats."""

    version: str
    type_url: str
    nonce: str


def envelope(data: bytes) -> Envelope:
    found = {number: data[start:end] for number, start, end in _fields(data) if number in (VERSION, TYPE_URL, NONCE)}
    return Envelope(*(found.get(number, b"").decode() for number in (VERSION, TYPE_URL, NONCE)))


def _fields(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Numbers and places of the fields that have a length; single numbers are passed over."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value, at = _varint(data, at)
        if tag & 7 == _LENGTH_DELIMITED:
            yield tag >> 3, at, at + value
            at += value
        elif tag & 7 != _VARINT:
            raise ValueError(f"a field of wire type {tag & 7} in a response")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | data[at] << shift, at + 1
