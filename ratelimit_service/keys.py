"""Names of counters in the store: no two lists of parts make one name; the slot alone decides where it lives."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import quote

# Names of rules and of those who call; what escaping them takes is a third of a decision.
MOST_REMEMBERED: Final = 10_000


def slot_name(parts: Sequence[str]) -> str:
    """The hash tag of a slot: on a Redis Cluster the text in braces alone decides where a key lives."""
    return ":".join(map(_escaped, parts))


def counter_key(slot: Sequence[str], parts: Sequence[str]) -> str:
    """The key of a counter: parts are escaped, so that two different lists never make one key."""
    return f"tg:{{{slot_name(slot)}}}:{slot_name(parts)}"


@lru_cache(MOST_REMEMBERED)
def _escaped(part: str) -> str:
    return quote(part, safe="")
