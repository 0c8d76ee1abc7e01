"""Where claims count: the counter of a moment, and the exact place of what a call took, as holds remember it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ratelimit_service.calendars import bounds, date_of
from ratelimit_service.claims import Calendar, Claim, InFlight
from ratelimit_service.windows import MICROSECONDS, Window

# How long a calendar window is there to look at, and a hold to ask for, behind its end.
KEPT: Final = 7 * 86400 * MICROSECONDS


class Kind(Enum):
    """How a counter counts, as scripts are told."""

    WINDOW = "w"
    CALENDAR = "c"
    # A sliding window as long as the lease, whose calls are given back when they end.
    IN_FLIGHT = "f"


@dataclass(frozen=True)
class Counter:
    """The counter of a claim at a moment."""

    key: str
    kind: Kind
    # Period and sub-window length, or begin and end.
    first: int
    second: int

    @property
    def window(self) -> Window:
        """Its sliding window, of which only the lengths are known."""
        return Window(0, self.first)

    def index(self, now: int) -> int:
        """What of it counts now: the sub-window, or the begin."""
        return self.first if self.kind is Kind.CALENDAR else now // self.second


@dataclass(frozen=True)
class Place:
    """What a call took, and where."""

    counter: Counter
    index: int
    # The claim's own key: the counter's begins with it.
    claim: str
    amount: int
    # Corrected when the call ends; in a calendar window told apart until then.
    held: bool

    @property
    def slot(self) -> str:
        """The text in the key's braces."""
        return self.claim.partition("{")[2].partition("}")[0]


def counter(claim: Claim, now: int) -> Counter:
    """Where a claim counts now. A new window has a new key, and begins at nothing."""
    match claim.measure:
        case Window() as window:
            return Counter(claim.key, Kind.WINDOW, window.period, window.length)
        case InFlight(lease=lease):
            return Counter(f"{claim.key}:{lease}", Kind.IN_FLIGHT, lease, Window(0, lease).length)
        case Calendar(unit=unit):
            begin, end = bounds(unit, now)
            return Counter(f"{claim.key}:{unit.value}:{date_of(begin)}", Kind.CALENDAR, begin, end)


def place(claim: Claim, now: int) -> Place:
    """What a claim takes now."""
    counted = counter(claim, now)
    return Place(counted, counted.index(now), claim.key, claim.amount, claim.held)


def record(note: str, places: list[Place]) -> str:
    """A hold as the store keeps it; `take.lua` writes the same."""
    return "\n".join([note, *(_line(one) for one in places)])


def read_record(text: str) -> tuple[str, tuple[Place, ...]]:
    """The note and the places of a hold."""
    note, _, lines = text.partition("\n")
    return note, tuple(_places(lines))


LINE: Final = re.compile(
    r"^(?P<key>\S+) (?P<known>\d+) (?P<kind>[wcf])[-r](?P<held>[-h]) (?P<amount>\d+) (?P<first>\d+) (?P<second>\d+)"
    r" (?P<index>\d+)$",
    re.MULTILINE,
)


def _line(one: Place) -> str:
    counted = one.counter
    flags = f"{counted.kind.value}-{'h' if one.held else '-'}"
    numbers = (one.amount, counted.first, counted.second, one.index)
    return " ".join((counted.key, str(len(one.claim)), flags, *map(str, numbers)))


def _places(lines: str) -> Iterator[Place]:
    for line in LINE.finditer(lines):
        key = line["key"]
        counted = Counter(key, Kind(line["kind"]), int(line["first"]), int(line["second"]))
        yield Place(counted, int(line["index"]), key[: int(line["known"])], int(line["amount"]), line["held"] == "h")
