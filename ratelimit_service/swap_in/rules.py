"""The rules of a swap-in configuration as a tree: domains, levels of descriptors, and the limits at their leaves.

Keys and values stay apart, so that `a` with the value `b_c` and `a_b` with the value `c` are different descriptors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Final


class Unit(Enum):
    """The units by their number in the protocol, in which requests bring limits of their own."""

    SECOND = 1
    MINUTE = 2
    HOUR = 3
    DAY = 4
    MONTH = 5
    YEAR = 6
    WEEK = 7

    @property
    def seconds(self) -> int:
        """Length of a window. All begin at multiples of it since the epoch: a month is 30 days, a year 365."""
        return SECONDS[self]


DAY: Final = 86_400
SECONDS: Final = MappingProxyType(
    {
        Unit.SECOND: 1,
        Unit.MINUTE: 60,
        Unit.HOUR: 3_600,
        Unit.DAY: DAY,
        Unit.WEEK: 7 * DAY,
        Unit.MONTH: 30 * DAY,
        Unit.YEAR: 365 * DAY,
    }
)


@dataclass(frozen=True)
class Limit:
    """So many requests in a window of the unit."""

    requests: int
    unit: Unit
    name: str = ""


@dataclass(frozen=True)
class Rule:
    """What a matched descriptor comes to; `limit` is None where it is unlimited."""

    limit: Limit | None
    replaces: frozenset[str] = frozenset()
    shadow: bool = False
    quota: bool = False
    detailed_metric: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)  # Any: the operator's own YAML


@dataclass(frozen=True)
class Entry:
    """A descriptor of the configuration; without a rule it lets everything pass that ends at it."""

    key: str
    value: str | None
    rule: Rule | None
    share_threshold: bool
    value_to_metric: bool
    below: "Level"


@dataclass(frozen=True)
class Pattern:
    """A value with wildcards, cut at each `*`."""

    parts: tuple[str, ...]
    entry: Entry

    def matches(self, value: str) -> bool:
        first, *middle, last = self.parts
        if len(value) < len(first) + len(last) or not (value.startswith(first) and value.endswith(last)):
            return False
        at, end = len(first), len(value) - len(last)
        for part in middle:
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


@dataclass(frozen=True)
class Level:
    """The descriptors of one level: with a value, with wildcards in the order of the files, and with a key alone."""

    exact: Mapping[tuple[str, str], Entry] = field(default_factory=dict)
    patterns: Mapping[str, tuple[Pattern, ...]] = field(default_factory=dict)
    of_key: Mapping[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    """All domains by their name."""

    domains: Mapping[str, Level]
