"""What a line of the access log says, as an entry of the ledger; a line that says nothing usable is a value, too.

Only the parts named here are taken: no header, no path, no query and no credential can reach the ledger. What a call
came to is `service_kit.metering`'s arithmetic, as for the counters.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from service_kit.contract import MISSING, UNCOUNTED
from service_kit.metering import Passed, Prices, Tokens, charge

CALL: Final = "call"
# A hold whose call never told its end: it stays charged.
UNSETTLED: Final = "unsettled"
# How a row begins, and nothing in a text: a whole one may stand behind one that a killed Envoy left unfinished.
ROW_BEGINS: Final = re.compile(rb'\{"[a-z_]+":')
# Names that are longer are cut, and told apart by their hash: who calls must not choose to have no row.
LONGEST_TEXT: Final = 512
# What is larger is no number of a row.
LARGEST_NUMBER: Final = 2**50
LARGEST_AMOUNT: Final = 2**62
# What Envoy passes on to the limiter as a number of hits.
LARGEST_ADDEND: Final = 1_000_000_000
KEY_SIZE: Final = 16


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

    @property
    def key(self) -> bytes:
        """`id`, in a size that an index likes."""
        return blake2b(self.id.encode(), digest_size=KEY_SIZE).digest()


@dataclass(frozen=True)
class BadLine:
    """A line that is no row, and why."""

    reason: str
    line: bytes


class _Unusable(Exception):  # noqa: N818 - what the line is
    """A value that cannot be kept."""


def entry_of_row(line: bytes) -> Entry | BadLine:
    """What a line of Envoy's access log says."""
    try:
        return _call(_object(line), line)
    except _Unusable as error:
        return BadLine(str(error), line)


def entry_of_event(line: bytes) -> Entry | BadLine | None:
    """What a line of the rate-limit service's events says; None where it is about something else."""
    try:
        event = _object(line)
        return _unsettled(event) if event.get("type") == UNSETTLED else None
    except _Unusable as error:
        return BadLine(str(error), line)


def _object(line: bytes) -> Mapping[str, Any]:  # Any: JSON
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = _repaired(line)
    if not isinstance(found, dict):
        raise _Unusable("no JSON object")
    return found


def _repaired(line: bytes) -> object:
    r"""What a line says but for bytes that are no text, which a client may send and Envoy writes as `\377`."""
    try:
        return json.loads(_ESCAPES.sub(_escaped, line.decode(errors="replace")), strict=False)
    except (ValueError, RecursionError):
        raise _Unusable("no JSON") from None


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found[1] else r"\\"


# Escapes that JSON has, and those that it has not.
_ESCAPES: Final = re.compile(r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})|\\')


def _call(row: Mapping[str, Any], line: bytes) -> Entry:
    time, request_id = _required(row, "time"), _text(row, "request_id")
    number = {**{name: _number(row, name) for name in _NUMBERS}, **{name: _told(row, name) for name in _TOLD}}
    tokens, estimated = _charged(row, number)
    prices = Prices(number["price_in"], number["price_out"])
    return Entry(
        kind=CALL,
        id=_text(row, "hold") or _identity(request_id, time, line),
        started=_milliseconds(time),
        request_id=request_id or MISSING,
        listener=_text(row, "listener"),
        method=_text(row, "method"),
        route=_text(row, "route"),
        subject=_text(row, "subject"),
        tenant=_text(row, "tenant"),
        consumer=_text(row, "consumer"),
        plan=_text(row, "plan"),
        key_id=_text(row, "key_id"),
        model=_text(row, "model"),
        usage=_text(row, "usage"),
        cost=0 if UNCOUNTED in (_text(row, "details") or "") else _number(row, "cost", missing=1),
        status=number["status"],
        flags=_text(row, "flags"),
        limit=_text(row, "limit"),
        would_limit=_text(row, "would_limit"),
        tokens_in=tokens.input,
        tokens_out=tokens.output,
        tokens_total=tokens.total,
        tokens_cached=number["tokens_cached"],
        estimated=int(estimated),
        price_in=prices.input,
        price_out=prices.output,
        amount=_affordable(prices.nano_dollars(tokens)),
        policy=_text(row, "policy"),
        bytes_in=number["bytes_in"],
        bytes_out=number["bytes_out"],
        duration_ms=number["duration_ms"],
    )


def _identity(request_id: str | None, time: str, line: bytes) -> str:
    """What tells a call apart; what is no HTTP has no id, and nothing but its own row."""
    return f"{request_id}.{time}" if request_id else f"-{blake2b(line, digest_size=KEY_SIZE).hexdigest()}"


def _charged(row: Mapping[str, Any], number: Mapping[str, int]) -> tuple[Tokens, bool]:
    """What a metered call came to; nothing where the route's tokens are not counted."""
    if not any(_is_there(row, name) for name in ("tokens_in", "tokens_out", "tokens_total")):
        return Tokens(0, 0), False
    passed = Passed(
        input=number["tokens_in"],
        output=number["tokens_out"],
        total=number["tokens_total"],
        received=number["bytes_in"],
        sent=number["bytes_out"],
        status=number["status"],
        attempts=number["attempts"],
    )
    most = number["tokens_held"] if _is_there(row, "tokens_held") else LARGEST_NUMBER
    charged = charge(passed, Tokens(number["bytes_in"], most))
    return charged.tokens, charged.estimated


def _unsettled(event: Mapping[str, Any]) -> Entry:
    hold = _required(event, "hold")
    tokens = Tokens(_number(event, "tokens_in"), _number(event, "tokens_out"))
    return Entry(
        kind=UNSETTLED,
        id=hold,
        started=_moment(event.get("at")),
        request_id=hold.partition(".")[0],
        listener=None,
        method=None,
        route=_text(event, "route"),
        subject=_text(event, "subject"),
        tenant=_text(event, "tenant"),
        consumer=_text(event, "consumer"),
        plan=_text(event, "plan"),
        key_id=None,
        model=_text(event, "model"),
        usage=_text(event, "usage"),
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
        amount=_number(event, "cost"),
        policy=None,
        bytes_in=0,
        bytes_out=0,
        duration_ms=0,
    )


_NUMBERS: Final = (
    "status", "bytes_in", "bytes_out", "duration_ms", "attempts", "tokens_held", "price_in", "price_out",
)  # fmt: skip
# What the upstream says.
_TOLD: Final = ("tokens_in", "tokens_out", "tokens_total", "tokens_cached")


def _is_there(row: Mapping[str, Any], name: str) -> bool:
    return row.get(name) not in (None, MISSING, "")


def _required(row: Mapping[str, Any], name: str) -> str:
    text = _text(row, name)
    if text is None:
        raise _Unusable(f"no {name}")
    return text


def _text(row: Mapping[str, Any], name: str) -> str | None:
    if not _is_there(row, name):
        return None
    value = row[name] if isinstance(row[name], str) else json.dumps(row[name])
    if len(value) > LONGEST_TEXT:
        digest = blake2b(value.encode(errors="replace"), digest_size=KEY_SIZE).hexdigest()
        value = f"{value[: LONGEST_TEXT - len(digest) - 1]}~{digest}"
    # PostgreSQL keeps no NUL, and no database half of a surrogate pair.
    return value if value.isprintable() else value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _number(row: Mapping[str, Any], name: str, *, missing: int = 0) -> int:
    """A whole number; Envoy writes those of metadata as text or with a fraction of zero."""
    if not _is_there(row, name):
        return missing
    value = row[name]
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value) if len(value) <= len(str(LARGEST_NUMBER)) else LARGEST_NUMBER
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value < LARGEST_NUMBER:
        raise _Unusable(f"{name} is no number of ours")
    return value


def _told(row: Mapping[str, Any], name: str) -> int:
    """A number as the limiter hears of it: one that Envoy does not pass on is none."""
    value = row.get(name)
    if isinstance(value, float) and 0 <= value <= LARGEST_ADDEND:
        return int(value)  # Envoy passes on the whole part
    try:
        number = _number(row, name)
    except _Unusable:
        return 0
    return number if number <= LARGEST_ADDEND else 0


def _affordable(amount: int) -> int:
    if amount >= LARGEST_AMOUNT:
        raise _Unusable("the amount is no number of ours")
    return amount


def _milliseconds(time: str) -> int:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        raise _Unusable("time is no moment") from None
    if moment.tzinfo is None:
        raise _Unusable("time is no moment")
    return _bounded(round(moment.timestamp() * 1000))


def _moment(value: object) -> int:
    if not isinstance(value, int | float) or not 0 <= value < LARGEST_NUMBER / 1000:
        raise _Unusable("at is no moment")
    return _bounded(round(value * 1000))


def _bounded(milliseconds: int) -> int:
    if not 0 <= milliseconds < LARGEST_NUMBER:
        raise _Unusable("the moment is out of range")
    return milliseconds
