"""What of a server's own settings would lose counts, read from what it says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEEPS_ALL = "noeviction"


@dataclass(frozen=True)
class Survey:
    """How a server treats what it holds."""

    # Whether it throws counters away when its memory is full; the policy is its own word.
    evicts: bool
    policy: str
    # Whether what it holds is there again after it was killed.
    persists: bool


def survey(info: Mapping[str, Any]) -> Survey:
    """The survey of the answer to INFO; what it does not say is taken as well."""
    policy = str(info.get("maxmemory_policy", KEEPS_ALL))
    return Survey(evicts=policy != KEEPS_ALL, policy=policy, persists=bool(info.get("aof_enabled", 1)))
