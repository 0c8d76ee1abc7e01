"""What scripts are asked and what they answer, as data: claims and holds to steps, replies to what they mean.

Pure: `now` decides only which calendar windows are asked for, and a script refuses when its own clock says others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote
from zlib import crc32

from ratelimit_service.claims import Claim, Hold, State, Taken
from ratelimit_service.memory import state
from ratelimit_service.places import Place, counter
from ratelimit_service.scripts import Reply, Step, script
from ratelimit_service.windows import Reading

TAKE: Final = script("counter.lua", "holding.lua", "take.lua")
SETTLE: Final = script("counter.lua", "correction.lua", "holding.lua", "settle.lua")
UNDO: Final = script("counter.lua", "correction.lua", "undo.lua")
STATE: Final = script("counter.lua", "state.lua")
OPEN: Final = script("counter.lua", "holding.lua", "open.lua")
CLOSE: Final = script("counter.lua", "holding.lua", "close.lua")
OVERDUE: Final = script("counter.lua", "holding.lua", "overdue.lua")
RECORDS: Final = script("counter.lua", "records.lua")

# The first number of a reply.
REFUSED, DONE, ANOTHER_WINDOW, REPEATED = range(4)
# The server's own clock.
SERVER_TIME: Final = ""
# Holds of a store of several servers are spread over so many slots.
SHARDS: Final = 16


@dataclass(frozen=True)
class Record:
    """A hold and the keys that it is remembered by."""

    hold: Hold
    keys: tuple[str, ...]


def take(claims: Sequence[Claim], now: int, record: Record | None = None, *, dry: bool = False) -> Step:
    """Takes all or nothing; `dry`, it takes nothing and reads what it would have found."""
    counters = [counter(claim, now) for claim in claims]
    keys = [counted.key for counted in counters]
    arguments: list[int | str] = [SERVER_TIME, "dry" if dry else "", "", 0, ""]
    if record is not None:
        keys += record.keys
        arguments[2:5] = record.hold.id, record.hold.lease, record.hold.note
    for claim, counted in zip(claims, counters, strict=True):
        flags = counted.kind.value + ("r" if claim.report else "-") + ("h" if claim.held else "-")
        arguments += (flags, len(claim.key), claim.amount, claim.measure.limit, counted.first, counted.second)
    return Step(TAKE, tuple(keys), tuple(arguments))


def taken(reply: Reply, claims: int) -> Taken:
    """What became of a take of so many claims."""
    status, now, *numbers = whole_numbers(reply)
    if status == REPEATED:
        return Taken(admitted=False, readings=(None,) * claims, repeated=True, now=now)
    rows = zip(*(numbers[column::4] for column in range(4)), strict=True)
    return Taken(status == DONE, tuple(Reading(*row) for row in rows), now=now)


def settle(hold: str, keys: tuple[str, ...], claims: Sequence[Claim]) -> Step:
    """Puts every place that is remembered by these keys to what its claim came to."""
    pairs = (part for claim in claims for part in (claim.key, claim.amount))
    return Step(SETTLE, keys, (SERVER_TIME, hold, *pairs))


def undo(places: Sequence[Place], keys: tuple[str, ...]) -> Step:
    """Gives back places of one slot, and forgets the hold that is remembered by this key."""
    arguments: list[int | str] = [SERVER_TIME]
    for one in places:
        counted = one.counter
        arguments += (counted.kind.value, "h" if one.held else "-", one.amount)
        arguments += (counted.first, counted.second, one.index)
    return Step(UNDO, (*(one.counter.key for one in places), *keys), tuple(arguments))


def states(claims: Sequence[Claim], now: int, *, grant: int = 0, forget: bool = False) -> Step:
    """Reads counters, and changes those of calendar windows."""
    counters = [counter(claim, now) for claim in claims]
    windows = (part for counted in counters for part in (counted.kind.value, counted.first, counted.second))
    keys = tuple(counted.key for counted in counters)
    return Step(STATE, keys, (SERVER_TIME, grant, int(forget), *windows))


def read_states(reply: Reply, claims: Sequence[Claim]) -> tuple[State, ...]:
    """How counters stand."""
    _, now, *numbers = whole_numbers(reply)
    rows = zip(claims, numbers[0::3], numbers[1::3], numbers[2::3], strict=True)
    return tuple(state(counter(claim, now), now, *row) for claim, *row in rows)


def open_hold(hold: Hold, text: str) -> Step:
    """Remembers a hold whose places are in several slots."""
    return Step(OPEN, hold_keys(hold.id, SHARDS), (SERVER_TIME, hold.id, hold.lease, text))


def close_hold(hold: str) -> Step:
    """Forgets a hold whose places are in several slots."""
    return Step(CLOSE, hold_keys(hold, SHARDS), (SERVER_TIME, hold))


def overdue(shard: int, limit: int) -> Step:
    """Ids of holds whose lease is over."""
    return Step(OVERDUE, (_index(shard),), (SERVER_TIME, limit))


def records(holds: Sequence[str], shards: int) -> Step:
    """What holds of one shard are."""
    return Step(RECORDS, tuple(hold_keys(hold, shards)[0] for hold in holds), (SERVER_TIME,))


def hold_keys(hold: str, shards: int = 1) -> tuple[str, str]:
    """The record and the index of a hold."""
    index = _index(crc32(hold.encode()) % shards)
    return f"{index}:{quote(hold, safe='')}", index


def slot_record(hold: str, slot: str) -> tuple[str]:
    """The record of what a hold has in one slot of several."""
    return (f"tg:{{{slot}}}:!hold:{quote(hold, safe='')}",)


def whole_numbers(reply: Reply) -> list[int]:
    """A reply that has nothing but numbers."""
    return [int(part) for part in reply]


def text_of(part: int | bytes) -> str:
    """A text of a reply."""
    return part.decode() if isinstance(part, bytes) else str(part)


# No slot and no counter is named so: `!` is escaped in their names.
def _index(shard: int) -> str:
    return f"tg:{{!holds{shard}}}"
