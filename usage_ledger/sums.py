"""Sums of hours and days, kept in the transaction of the rows that they are of: reports read these alone."""

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite

from service_kit.contract import MISSING
from service_kit.databases import POSTGRESQL
from usage_ledger.entries import UNSETTLED, Entry
from usage_ledger.tables import DIMENSIONS, SPANS, SUMS

# What a limit or a quota answers.
REFUSALS: Final = frozenset({402, 429})
# Envoy's flags of calls that ended at the limiter, before it or without its answer: no counter has them.
LIMITED: Final = "RL"
NOT_COUNTED: Final = frozenset({LIMITED, "RLSE", "UAEX"})
FIRST_FAILURE: Final = 500
MILLISECONDS: Final = 1000

Place = tuple[Any, ...]  # the beginning in seconds, then a text for each of DIMENSIONS
Amounts = list[int]


class Sums:
    """What some rows add to the sums of every span."""

    def __init__(self) -> None:
        self._found: dict[Place, Amounts] = defaultdict(lambda: [0] * len(SUMS))

    def add(self, entry: Entry, sign: int = 1) -> None:
        """Counts a row; with a sign of -1 one that another row has taken the place of."""
        found = self._found[place(entry, SPANS[0][0])]
        for index, amount in enumerate(amounts(entry)):
            found[index] += sign * amount

    def of_span(self, seconds: int) -> Mapping[Place, Amounts]:
        """The sums of spans of so many seconds, a whole number of hours."""
        found: dict[Place, Amounts] = defaultdict(lambda: [0] * len(SUMS))
        for (begin, *rest), hour in self._found.items():
            whole = found[begin - begin % seconds, *rest]
            for index, amount in enumerate(hour):
                whole[index] += amount
        return found

    def write(self, db: Connection) -> None:
        """Adds them to what is kept."""
        for seconds, table in SPANS:
            rows = [
                dict(zip(("begin", *DIMENSIONS, *SUMS), (*where, *amounts), strict=True))
                for where, amounts in sorted(self.of_span(seconds).items())
            ]
            if rows:
                db.execute(_added(table, db.dialect.name), rows)


def place(entry: Entry, seconds: int) -> Place:
    """Where a row is counted."""
    at = entry.started // MILLISECONDS
    named = (getattr(entry, dimension) for dimension in DIMENSIONS)
    return (at - at % seconds, *(name or MISSING for name in named))


def amounts(entry: Entry) -> tuple[int, ...]:
    """What a row counts for, in the order of SUMS."""
    flags = frozenset((entry.flags or "").split(","))
    refused = LIMITED in flags or (entry.limit is not None and entry.status in REFUSALS)
    # A route that no rule counts has no version of its rules.
    counted = entry.policy is not None and not refused and NOT_COUNTED.isdisjoint(flags)
    unsettled = entry.kind == UNSETTLED
    return (
        1,
        int(refused),
        int(entry.status >= FIRST_FAILURE or (entry.status == 0 and not unsettled)),
        entry.cost if counted or unsettled else 0,
        entry.tokens_in,
        entry.tokens_out,
        entry.tokens_cached,
        entry.estimated,
        int(unsettled),
        entry.amount,
        entry.bytes_in,
        entry.bytes_out,
        entry.duration_ms,
        entry.tokens_reasoning or 0,
    )


@cache  # to make it costs more than to carry it out
def _added(table: Table, dialect: str) -> Insert:
    fresh = (postgresql if dialect == POSTGRESQL else sqlite).insert(table)
    sums = {name: table.c[name] + fresh.excluded[name] for name in SUMS}
    added: Insert = fresh.on_conflict_do_update(index_elements=["begin", *DIMENSIONS], set_=sums)
    return added
