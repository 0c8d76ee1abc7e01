"""What has come to a stand-in and what has gone out: a ledger is compared with it."""

import json
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tests.support.llm.script import Usage


class Outcome(Enum):
    PENDING = "pending"
    COMPLETE = "complete"
    REFUSED = "refused"  # answered with an error
    BROKEN = "broken"  # an error was told in the stream, as its script says
    CUT = "cut"  # the stand-in ended the connection, as its script says
    LEFT = "left"  # the client was gone before the end


@dataclass
class Answer:
    """How far an answer has come; a token is sent when its bytes have been given to the kernel."""

    status: int | None = None
    streamed: bool = False
    outcome: Outcome = Outcome.PENDING
    # Tokens on the wire, and those that were made: thoughts that are not shown are made but not sent.
    sent: int = 0
    made: int = 0
    bytes_sent: int = 0
    # What a full answer costs, what was told of it, and what was said.
    truth: Usage | None = None
    told: Usage | None = None
    first_byte: float | None = None
    ended: float | None = None

    @property
    def client_left(self) -> bool:
        return self.outcome is Outcome.LEFT

    def end(self, outcome: Outcome) -> None:
        """The first end counts."""
        if self.outcome is Outcome.PENDING:
            self.ended = time.monotonic()
            self.outcome = outcome


@dataclass
class Call:
    """A request; header names are in lower case, and of a repeated header the last is kept."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    raw: bytes = b""
    at: float = field(default_factory=time.monotonic)
    # What was understood of it.
    model: str | None = None
    images: int = 0
    answer: Answer = field(default_factory=Answer)

    @property
    def body(self) -> Any:
        """The body, where it is JSON."""
        try:
            return json.loads(self.raw)
        except ValueError:
            return None
