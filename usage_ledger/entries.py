"""What a line of the access log says, as an entry of the ledger; a line that says nothing usable is a value, too.

Only the parts named here are taken: no header, no path, no query and no credential can reach the ledger. What a call
came to is `service_kit.metering`'s arithmetic, as for the counters.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from service_kit.contract import MISSING, MODEL_SIGN, UNCOUNTED, WORDLESS_APIS
from service_kit.metering import Passed, Prices, Tokens, charge
from usage_ledger.answering import answering
from usage_ledger.values import (
    KEY_SIZE,
    LARGEST_NUMBER,
    Unusable,
    affordable,
    is_there,
    measured,
    milliseconds,
    moment,
    number,
    required,
    text,
    told,
)

CALL: Final = "call"
# A hold whose call never told its end: it stays charged.
UNSETTLED: Final = "unsettled"
# How a row begins, and nothing in a text: a whole one may stand behind one that a killed Envoy left unfinished.
ROW_BEGINS: Final = re.compile(rb'\{"[a-z_]+":')


class Entry(NamedTuple):
    """A row of the ledger but for its place in the chain; times in milliseconds, money in nano-dollars.

    `id` tells calls apart: the hold's, else request id and start. `settles` marks the row of a call whose hold stood
    in the ledger as unsettled: it counts in that one's place.
    """

    kind: str
    id: str
    started: int
    request_id: str
    listener: str | None
    method: str | None
    route: str | None
    subject: str | None
    tenant: str | None
    consumer: str | None
    plan: str | None
    key_id: str | None
    model: str | None
    usage: str | None
    cost: int
    status: int
    flags: str | None
    limit: str | None
    would_limit: str | None
    tokens_in: int
    tokens_out: int
    tokens_total: int
    tokens_cached: int
    estimated: int
    price_in: int
    price_out: int
    amount: int
    policy: str | None
    bytes_in: int
    bytes_out: int
    duration_ms: int
    settles: int = 0
    # The client's word for the model, which `model` is the gateway's name of where it has one.
    asked_model: str | None = None
    # Who was asked last, and how it calls the model.
    upstream: str | None = None
    upstream_model: str | None = None
    # Until the first byte of the answer's body, of calls of models.
    first_token_ms: int | None = None
    # Of those out.
    tokens_reasoning: int | None = None

    @property
    def key(self) -> bytes:
        """`id`, in a size that an index likes."""
        return blake2b(self.id.encode(), digest_size=KEY_SIZE).digest()


@dataclass(frozen=True)
class BadLine:
    """A line that is no row, and why."""

    reason: str
    line: bytes


def entry_of_row(line: bytes) -> Entry | BadLine:
    """What a line of Envoy's access log says."""
    try:
        return _call(_object(line), line)
    except Unusable as error:
        return BadLine(str(error), line)


def entry_of_event(line: bytes) -> Entry | BadLine | None:
    """What a line of the rate-limit service's events says; None where it is about something else."""
    try:
        event = _object(line)
        return _unsettled(event) if event.get("type") == UNSETTLED else None
    except Unusable as error:
        return BadLine(str(error), line)


def _object(line: bytes) -> Mapping[str, Any]:  # Any: JSON
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = _repaired(line)
    if not isinstance(found, dict):
        raise Unusable("no JSON object")
    return found


def _repaired(line: bytes) -> object:
    r"""What a line says but for bytes that are no text, which a client may send and Envoy writes as `\377`."""
    try:
        return json.loads(_ESCAPES.sub(_escaped, line.decode(errors="replace")), strict=False)
    except (ValueError, RecursionError):
        raise Unusable("no JSON") from None


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found[1] else r"\\"


# Escapes that JSON has, and those that it has not.
_ESCAPES: Final = re.compile(r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})|\\')


def _call(row: Mapping[str, Any], line: bytes) -> Entry:
    time, request_id = required(row, "time"), text(row, "request_id")
    numbers = {**{name: number(row, name) for name in _NUMBERS}, **{name: told(row, name) for name in _TOLD}}
    tokens, estimated = _charged(row, numbers)
    answered = answering(row, numbers["attempts"])
    prices = answered.prices or Prices(numbers["price_in"], numbers["price_out"])
    metered = answered.prices is not None or _is_metered(row)
    return Entry(
        kind=CALL,
        id=text(row, "hold") or _identity(request_id, time, line),
        started=milliseconds(time),
        request_id=request_id or MISSING,
        listener=text(row, "listener"),
        method=text(row, "method"),
        route=text(row, "route"),
        subject=text(row, "subject"),
        tenant=text(row, "tenant"),
        consumer=text(row, "consumer"),
        plan=text(row, "plan"),
        key_id=text(row, "key_id"),
        model=_model(row),
        usage=text(row, "usage"),
        cost=0 if UNCOUNTED in (text(row, "details") or "") else number(row, "cost", missing=1),
        status=numbers["status"],
        flags=text(row, "flags"),
        limit=text(row, "limit"),
        would_limit=text(row, "would_limit"),
        tokens_in=tokens.input,
        tokens_out=tokens.output,
        tokens_total=tokens.total,
        tokens_cached=numbers["tokens_cached"],
        estimated=int(estimated),
        price_in=prices.input,
        price_out=prices.output,
        amount=affordable(prices.nano_dollars(tokens)),
        policy=text(row, "policy"),
        bytes_in=numbers["bytes_in"],
        bytes_out=numbers["bytes_out"],
        duration_ms=numbers["duration_ms"],
        asked_model=text(row, "asked_model"),
        upstream=answered.upstream,
        upstream_model=answered.model,
        first_token_ms=measured(row, "first_token_ms") if metered else None,
        tokens_reasoning=told(row, "tokens_reasoning") or None,
    )


def _identity(request_id: str | None, time: str, line: bytes) -> str:
    """What tells a call apart; what is no HTTP has no id, and nothing but its own row."""
    return f"{request_id}.{time}" if request_id else f"-{blake2b(line, digest_size=KEY_SIZE).hexdigest()}"


def _is_metered(row: Mapping[str, Any]) -> bool:
    return any(is_there(row, name) for name in ("tokens_in", "tokens_out", "tokens_total"))


def _model(row: Mapping[str, Any]) -> str | None:
    """None where no model took the call: names that clients make up would stand in the sums for good."""
    return None if (text(row, "route") or "").endswith(MODEL_SIGN) else text(row, "model")


def _charged(row: Mapping[str, Any], numbers: Mapping[str, int]) -> tuple[Tokens, bool]:
    """What a metered call came to; nothing where the route's tokens are not counted."""
    if not _is_metered(row):
        return Tokens(0, 0), False
    passed = Passed(
        input=numbers["tokens_in"],
        output=numbers["tokens_out"],
        total=numbers["tokens_total"],
        received=numbers["bytes_in"],
        sent=numbers["bytes_out"],
        status=numbers["status"],
        attempts=numbers["attempts"],
        pieces=numbers["tokens_passed"],
    )
    charged = charge(passed, Tokens(numbers["bytes_in"], _most(row, numbers)))
    return charged.tokens, charged.estimated


def _most(row: Mapping[str, Any], numbers: Mapping[str, int]) -> int:
    """The longest answer that the call can have: what was held for it, where somebody held."""
    api, sign, _ = str(row.get("route")).partition(MODEL_SIGN)
    if sign and api in WORDLESS_APIS:
        return 0
    return numbers["tokens_held"] if is_there(row, "tokens_held") else LARGEST_NUMBER


def _unsettled(event: Mapping[str, Any]) -> Entry:
    hold = required(event, "hold")
    tokens = Tokens(number(event, "tokens_in"), number(event, "tokens_out"))
    return Entry(
        kind=UNSETTLED,
        id=hold,
        started=moment(event.get("at")),
        request_id=hold.partition(".")[0],
        listener=None,
        method=None,
        route=text(event, "route"),
        subject=text(event, "subject"),
        tenant=text(event, "tenant"),
        consumer=text(event, "consumer"),
        plan=text(event, "plan"),
        key_id=None,
        model=text(event, "model"),
        usage=text(event, "usage"),
        cost=1,
        status=0,
        flags=None,
        limit=None,
        would_limit=None,
        tokens_in=tokens.input,
        tokens_out=tokens.output,
        tokens_total=tokens.total,
        tokens_cached=0,
        estimated=1,
        price_in=0,
        price_out=0,
        amount=number(event, "cost"),
        policy=None,
        bytes_in=0,
        bytes_out=0,
        duration_ms=0,
    )


_NUMBERS: Final = (
    "status", "bytes_in", "bytes_out", "duration_ms", "attempts", "tokens_held", "price_in", "price_out",
)  # fmt: skip
# What the upstream says, and what was seen of its stream.
_TOLD: Final = ("tokens_in", "tokens_out", "tokens_total", "tokens_cached", "tokens_passed")
