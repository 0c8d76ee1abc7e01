"""What was used, from the sums alone: as fast at ten million rows as at ten."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, func, select

from usage_ledger.tables import DAYS, DIMENSIONS, HOURS, SUMS

HOUR: Final = 3600
DAY: Final = 86_400
# Parts by which a report can be told apart, beside those of a row: the beginning of the span.
TIMES: Final = {"hour": HOUR, "day": DAY}
PARTS: Final = (*DIMENSIONS, *TIMES)
MOST_LINES: Final = 10_000


class BadQuestion(ValueError):  # noqa: N818 - what the question is
    """A report that cannot be made; the message names the cure."""


@dataclass(frozen=True)
class Question:
    """What is asked: told apart `by` some parts, of rows that started in a time, in seconds, and of some alone.

    `end` is None for now; both are whole hours. Of more lines than `most` these first ones alone are told, where it is
    given.
    """

    by: tuple[str, ...] = ()
    begin: int = 0
    end: int | None = None
    only: Mapping[str, str] | None = None
    most: int | None = None


@dataclass(frozen=True)
class Line:
    """A line of a report: the parts by which it is told apart, and sums in the order of SUMS."""

    parts: tuple[str | int, ...]
    sums: Mapping[str, int]


def report(db: Connection, asked: Question) -> tuple[Line, ...]:
    """The lines, ordered by their parts; BadQuestion where the question is none."""
    _check(asked)
    table = _table(asked)
    parts = [_part(table, name) for name in asked.by]
    sums = [func.sum(table.c[name]) for name in SUMS]
    wanted = select(*parts, *sums).where(*_conditions(table, asked))
    if parts:
        wanted = wanted.group_by(*parts).order_by(*parts).limit(asked.most or MOST_LINES + 1)
    found = db.execute(wanted).all()
    if len(found) > MOST_LINES:
        raise BadQuestion(f"more than {MOST_LINES} lines: ask for less time, for one consumer, or by fewer parts")
    lines = (Line(tuple(row[: len(parts)]), dict(zip(SUMS, _whole(row[len(parts) :]), strict=True))) for row in found)
    return tuple(line for line in lines if any(line.sums.values()))


def _check(asked: Question) -> None:
    if unknown := [name for name in (*asked.by, *(asked.only or ())) if name not in PARTS]:
        raise BadQuestion(f"{unknown[0]!r} is no part of a report: use {', '.join(PARTS)}")
    if moments := sorted(TIMES.keys() & (asked.only or {}).keys()):
        raise BadQuestion(f"of one {moments[0]} alone tells a report that begins and ends with it")
    if len(set(asked.by)) < len(asked.by):
        raise BadQuestion("a part is named twice")
    if any(moment % HOUR for moment in (asked.begin, asked.end or 0)):
        raise BadQuestion("sums are of whole hours: begin and end with one")


def _table(asked: Question) -> Table:
    """Days where these are enough: there are fewer of them."""
    hours = "hour" in asked.by or any(moment % DAY for moment in (asked.begin, asked.end or 0))
    return HOURS if hours else DAYS


def _part(table: Table, name: str) -> ColumnElement[Any]:  # Any: of texts and of numbers
    if name in TIMES:
        return (table.c.begin - table.c.begin % TIMES[name]).label(name)
    return table.c[name]


def _conditions(table: Table, asked: Question) -> list[ColumnElement[bool]]:
    found = [table.c[name] == value for name, value in (asked.only or {}).items()]
    if asked.begin:
        found.append(table.c.begin >= asked.begin)
    if asked.end is not None:
        found.append(table.c.begin < asked.end)
    return found


def _whole(sums: Any) -> list[int]:  # Any: of a table without rows, None
    return [int(amount or 0) for amount in sums]
