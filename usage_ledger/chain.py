"""The hash chain of a writer: the hash of each row is over what it says and the hash of the row before.

What a row says is the JSON array of its parts in the order of `Entry`, without its number: that a row was moved shows
as a break, and where it belongs can still be told. Parts that were thought of later stand at the end, and are left out
where a row has none of them: so rows from before follow from one another as they did.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from usage_ledger.entries import Entry

FORMAT: Final = b"tollgate ledger 1\0"
FIELDS: Final = Entry._fields
# What every row says.
_ALWAYS: Final = FIELDS.index("settles") + 1


def beginning(writer: str) -> bytes:
    """What stands before the first row of a writer."""
    return sha256(FORMAT + writer.encode()).digest()


def link(before: bytes, content: Sequence[object]) -> bytes:
    """The hash of a row with this content behind that one."""
    return sha256(before + canonical(content)).digest()


def said(entry: Sequence[object]) -> Sequence[object]:
    """What a row of the ledger says, of all the parts that it could have."""
    end = len(entry)
    while end > _ALWAYS and entry[end - 1] is None:
        end -= 1
    return entry[:end]


def canonical(content: Sequence[object]) -> bytes:
    """What a row says, in one way alone: numbers, texts and null."""
    return _ENCODER.encode(list(content)).encode()


_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
