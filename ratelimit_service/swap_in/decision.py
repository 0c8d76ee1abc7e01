"""Decides a call: which rules apply to its descriptors, and what their counts come to. It knows no wire format.

A rule of a descriptor that another one replaces is not asked. Of rate limits the first that is over refuses; quotas
refuse when all of them are over. A rule in shadow mode counts, and refuses nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ratelimit_service.swap_in.counting import Counted, Counter
from ratelimit_service.swap_in.matching import Match, match
from ratelimit_service.swap_in.request import Ask, Descriptor
from ratelimit_service.swap_in.rules import Limit, Rules


@dataclass(frozen=True)
class Standing:
    """A counter after this call; seconds until its window ends."""

    limit: Limit
    count: int
    reset_seconds: int

    @property
    def is_over(self) -> bool:
        return self.count > self.limit.requests

    @property
    def remaining(self) -> int:
        return max(0, self.limit.requests - self.count)


@dataclass(frozen=True)
class Applied:
    """A descriptor and what applies to it: a rule, with its counter's standing where it has a limit, or nothing."""

    descriptor: Descriptor
    match: Match | None
    standing: Standing | None = None

    @property
    def limit(self) -> Limit | None:
        return None if self.match is None else self.match.rule.limit

    @property
    def is_unlimited(self) -> bool:
        return self.match is not None and self.match.rule.limit is None

    @property
    def is_shadowed(self) -> bool:
        """Whether it would have been refused, had its rule not been in shadow mode."""
        return self._is_over and self.match is not None and self.match.rule.shadow

    @property
    def is_refused(self) -> bool:
        return self._is_over and not self.is_shadowed

    @property
    def _is_over(self) -> bool:
        return self.standing is not None and self.standing.is_over

    def is_quota(self, *, all_are: bool) -> bool:
        """Whether it counts as a quota among its call's descriptors."""
        if self.is_unlimited:
            return False
        return all_are or (self.match is not None and self.match.rule.quota)


def applied(rules: Rules, ask: Ask) -> tuple[Applied, ...]:
    """What applies to each descriptor, before anything is counted."""
    found = [match(rules, ask.domain, descriptor) for descriptor in ask.descriptors]
    replaced = frozenset[str]().union(*(one.rule.replaces for one in found if one is not None))
    return tuple(
        Applied(descriptor, None if one is not None and _name(one) in replaced else one)
        for descriptor, one in zip(ask.descriptors, found, strict=True)
    )


def _name(found: Match) -> str | None:
    return found.rule.limit.name if found.rule.limit is not None else None


def counters(domain: str, rows: Sequence[Applied]) -> tuple[Counter, ...]:
    """A counter for each row that has a limit."""
    return tuple(
        Counter(domain, row.match.counted, row.match.rule.limit, row.descriptor.hits)
        for row in rows
        if row.match is not None and row.match.rule.limit is not None
    )


def counted(rows: Sequence[Applied], found: Counted) -> tuple[Applied, ...]:
    """The rows with the standings of their counters."""
    return tuple(_with_standings(rows, found))


def _with_standings(rows: Sequence[Applied], found: Counted) -> Iterator[Applied]:
    counts = iter(found.counts)
    for row in rows:
        if row.limit is None:
            yield row
            continue
        length = row.limit.unit.seconds
        yield Applied(row.descriptor, row.match, Standing(row.limit, next(counts), length - found.now % length))


def is_over_limit(rows: Sequence[Applied], *, all_are_quotas: bool) -> bool:
    """Whether the call as a whole is refused."""
    quotas = [row.is_refused for row in rows if row.is_quota(all_are=all_are_quotas)]
    limits = [row.is_refused for row in rows if not row.is_quota(all_are=all_are_quotas)]
    return any(limits) or (bool(quotas) and all(quotas))


def nearest_to_limit(rows: Sequence[Applied], *, all_are_quotas: bool) -> Standing | None:
    """The standing that headers tell of: the last rate limit that refuses, else the first with the least remaining."""
    refusing = [row.standing for row in rows if row.is_refused and not row.is_quota(all_are=all_are_quotas)]
    if refusing:
        return refusing[-1]
    standings = [row.standing for row in rows if row.standing is not None]
    return min(standings, key=lambda standing: standing.remaining, default=None)
