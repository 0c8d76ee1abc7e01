"""The hash chain of a writer: the hash of each row is over what it says and the hash of the row before.

What a row says is the JSON array of its parts in the order of `Entry`, without its number: that a row was moved shows
as a break, and where it belongs can still be told.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from usage_ledger.entries import Entry

FORMAT: Final = b"tollgate ledger 1\0"
FIELDS: Final = Entry._fields


def beginning(writer: str) -> bytes:
    """What stands before the first row of a writer."""
    return sha256(FORMAT + writer.encode()).digest()


def link(before: bytes, content: Sequence[object]) -> bytes:
    """The hash of a row with this content behind that one."""
    return sha256(before + canonical(content)).digest()


def canonical(content: Sequence[object]) -> bytes:
    """What a row says, in one way alone: numbers, texts and null."""
    return _ENCODER.encode(list(content)).encode()


_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
