"""What a call takes from counters: pure data between the decision and the store."""

from dataclasses import dataclass
from enum import Enum

from ratelimit_service.windows import Reading, Window


class CalendarUnit(Enum):
    """A calendar window, UTC; a week begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True)
class Calendar:
    """Never more than `limit` in a calendar window."""

    limit: int
    unit: CalendarUnit


@dataclass(frozen=True)
class InFlight:
    """Never more than `limit` at once. What is not given back in `lease` microseconds counts no longer."""

    limit: int
    lease: int


Measure = Window | Calendar | InFlight


class Failing(Enum):
    """What a rule says while the store cannot be asked."""

    DENY = "deny"
    LOCAL = "local"
    ALLOW = "allow"


@dataclass(frozen=True)
class Claim:
    """What a call takes from one counter.

    `key` is what `keys.counter_key` makes; `slot` is the text in its braces, which counters of one atomic step share.
    No two claims of a call have one key.
    """

    key: str
    slot: str
    measure: Measure
    amount: int
    # Counted where it fits, and refuses nothing.
    report: bool = False
    # Corrected when the call ends.
    held: bool = False
    failing: Failing = Failing.DENY


@dataclass(frozen=True)
class Hold:
    """A call that is settled when its stream ends; `lease` in microseconds, after which the charge stays as it is."""

    id: str
    lease: int
    # One line for whoever asks later for the calls whose end never came.
    note: str = ""

    def __post_init__(self) -> None:
        if not self.id or "\n" in self.note:
            raise ValueError("a hold has an id, and a note of one line")


@dataclass(frozen=True)
class Taken:
    """Whether all enforced claims were taken, or none; and each counter's reading, in the order asked.

    A claim in report mode that did not fit was not taken: its reading has a `retry` above 0. A reading is None where
    nothing is known: the store was away, or was not asked since another counter is known to be over.
    """

    admitted: bool
    readings: tuple[Reading | None, ...]
    # The store was away for at least one of them.
    degraded: bool = False
    # A call under way has this hold's id already: nothing was taken, nothing was read. It is an alarm.
    repeated: bool = False
    # The store's clock, in microseconds: `now` + `reset` of a calendar window is its end.
    now: int = 0


@dataclass(frozen=True)
class Settled:
    """Whether the hold was open; a second settlement, and one of a hold that never was, changes nothing."""

    known: bool


@dataclass(frozen=True)
class State:
    """A counter as inspection shows it; times in microseconds since the epoch, of the window that counts now."""

    # With what is held.
    used: int
    # Of a sliding window always 0: what is held counts there as used, and nothing more is known.
    held: int
    granted: int
    begins: int
    ends: int


@dataclass(frozen=True)
class Charged:
    """What stays taken from one counter by a call whose end never came; `key` as of the claim."""

    key: str
    amount: int


@dataclass(frozen=True)
class Unsettled:
    """A hold whose lease is over: its charge stays as it was taken."""

    id: str
    note: str
    charges: tuple[Charged, ...]
