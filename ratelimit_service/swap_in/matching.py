"""Finds the rule of a descriptor: as many levels as it has entries, and at each the most specific one, without return.

An exact value comes before a wildcard, of wildcards the first in the files, and a key alone comes last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from ratelimit_service.swap_in.request import Descriptor
from ratelimit_service.swap_in.rules import Entry, Level, Rule, Rules


class By(Enum):
    """How an entry was found."""

    VALUE = "value"
    PATTERN = "pattern"
    KEY = "key"


@dataclass(frozen=True)
class Match:
    """The rule of a descriptor; `counted` are its entries as they are counted, `metric` is how metrics call it."""

    rule: Rule
    counted: tuple[tuple[str, str], ...]
    metric: str
    # Whether the metric's name holds a value that the configuration does not: there is no end to those.
    named_by_request: bool


@dataclass(frozen=True)
class _Step:
    entry: Entry
    by: By
    value: str

    @property
    def shares(self) -> bool:
        """Whether all values that the pattern matches are counted as one."""
        return self.by is By.PATTERN and self.entry.share_threshold

    @property
    def counted(self) -> tuple[str, str]:
        return self.entry.key, (self.entry.value or "") if self.shares else self.value

    def names_the_request(self, *, detailed: bool) -> bool:
        """Whether the configuration wants to see the value that was asked for in metrics."""
        return self.by is not By.VALUE and not self.shares and (detailed or self.entry.value_to_metric)

    def metric(self, *, detailed: bool) -> str:
        """The key, and the value: as configured, or as requested."""
        value = self.value if self.names_the_request(detailed=detailed) else self.entry.value
        return f"{self.entry.key}_{value}" if value else self.entry.key


def match(rules: Rules, domain: str, descriptor: Descriptor) -> Match | None:
    """The rule for a descriptor, or the limit that it brings; None where nothing limits it."""
    level = rules.domains.get(domain)
    if level is None:
        return None
    if descriptor.override is not None:
        called = ".".join(f"{key}_{value}" if value else key for key, value in descriptor.entries)
        return Match(Rule(descriptor.override), descriptor.entries, f"{domain}.{called}", named_by_request=True)
    steps = _steps(level, descriptor.entries)
    rule = steps[-1].entry.rule if steps else None
    if rule is None:
        return None
    detailed = rule.detailed_metric
    return Match(
        rule,
        tuple(step.counted for step in steps),
        ".".join((domain, *(step.metric(detailed=detailed) for step in steps))),
        named_by_request=any(step.names_the_request(detailed=detailed) for step in steps),
    )


def _steps(level: Level, entries: Sequence[tuple[str, str]]) -> tuple[_Step, ...]:
    """One step for each entry; none at all where an entry has no match."""
    steps: list[_Step] = []
    for key, value in entries:
        step = _step(level, key, value)
        if step is None:
            return ()
        steps.append(step)
        level = step.entry.below
    return tuple(steps)


def _step(level: Level, key: str, value: str) -> _Step | None:
    if (entry := level.exact.get((key, value))) is not None:
        return _Step(entry, By.VALUE, value)
    for pattern in level.patterns.get(key, ()):
        if pattern.matches(value):
            return _Step(pattern.entry, By.PATTERN, value)
    if (entry := level.of_key.get(key)) is not None:
        return _Step(entry, By.KEY, value)
    return None
