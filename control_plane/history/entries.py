"""What the history tells: which configurations there were, how each went, and which one an admin went back to."""

from dataclasses import dataclass
from enum import StrEnum


class CannotRollBack(Exception):  # noqa: N818 - an answer to the operator, not a fault of the program
    """The entry cannot be made live again: the message says why, and names the cure."""


class NoSuchEntry(CannotRollBack):
    """The history holds no entry of this number, or holds its texts no longer."""


class Result(StrEnum):
    """How a configuration went. LIVE alone is good: the others are nothing to start from."""

    SENT = "sent"  # the nodes have not judged it yet
    LIVE = "live"
    HELD = "held back"  # live but for the parts that were refused
    REFUSED = "refused"


@dataclass(frozen=True)
class NodeResult:
    """What one node said of a configuration; `at` in seconds since the epoch."""

    node: str
    accepted: bool
    reason: str
    at: float


@dataclass(frozen=True)
class Entry:
    """One configuration; `at` in seconds since the epoch, `digest` of all that was read, `held` the parts held back."""

    number: int
    at: float
    source: str
    digest: str
    result: Result
    held: tuple[str, ...]
    nodes: tuple[NodeResult, ...] = ()


@dataclass(frozen=True)
class Pin:
    """A rollback to an entry: it holds while the configuration's own files have this digest."""

    number: int
    source_digest: str
    at: float
