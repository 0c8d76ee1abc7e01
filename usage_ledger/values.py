"""Values of a line as they may be kept: texts of a length, whole numbers, moments. Unusable says what is none."""

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from service_kit.contract import MISSING

# Names that are longer are cut, and told apart by their hash: who calls must not choose to have no row.
LONGEST_TEXT: Final = 512
# What is larger is no number of a row.
LARGEST_NUMBER: Final = 2**50
LARGEST_AMOUNT: Final = 2**62
# What Envoy passes on to the limiter as a number of hits.
LARGEST_ADDEND: Final = 1_000_000_000
KEY_SIZE: Final = 16


class Unusable(Exception):  # noqa: N818 - what the line is
    """A value that cannot be kept."""


def is_there(row: Mapping[str, Any], name: str) -> bool:  # Any: JSON, here and below
    """Whether the line says something of it."""
    return row.get(name) not in (None, MISSING, "")


def required(row: Mapping[str, Any], name: str) -> str:
    """A text without which a line is no row."""
    found = text(row, name)
    if found is None:
        raise Unusable(f"no {name}")
    return found


def text(row: Mapping[str, Any], name: str) -> str | None:
    """A text, cut where it is too long."""
    if not is_there(row, name):
        return None
    value = row[name] if isinstance(row[name], str) else json.dumps(row[name])
    if len(value) > LONGEST_TEXT:
        digest = blake2b(value.encode(errors="replace"), digest_size=KEY_SIZE).hexdigest()
        value = f"{value[: LONGEST_TEXT - len(digest) - 1]}~{digest}"
    # PostgreSQL keeps no NUL, and no database half of a surrogate pair.
    return value if value.isprintable() else value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def number(row: Mapping[str, Any], name: str, *, missing: int = 0) -> int:
    """A whole number; Envoy writes those of metadata as text or with a fraction of zero."""
    if not is_there(row, name):
        return missing
    value = row[name]
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value) if len(value) <= len(str(LARGEST_NUMBER)) else LARGEST_NUMBER
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value < LARGEST_NUMBER:
        raise Unusable(f"{name} is no number of ours")
    return value


def told(row: Mapping[str, Any], name: str) -> int:
    """A number as the limiter hears of it: one that Envoy does not pass on is none."""
    value = row.get(name)
    if isinstance(value, float) and 0 <= value <= LARGEST_ADDEND:
        return int(value)  # Envoy passes on the whole part
    try:
        found = number(row, name)
    except Unusable:
        return 0
    return found if found <= LARGEST_ADDEND else 0


def affordable(amount: int) -> int:
    """An amount that a column holds."""
    if amount >= LARGEST_AMOUNT:
        raise Unusable("the amount is no number of ours")
    return amount


def milliseconds(time: str) -> int:
    """Of a moment as Envoy writes it, since the epoch."""
    try:
        found = datetime.fromisoformat(time)
    except ValueError:
        raise Unusable("time is no moment") from None
    if found.tzinfo is None:
        raise Unusable("time is no moment")
    return _bounded(round(found.timestamp() * 1000))


def moment(value: object) -> int:
    """The same of one in seconds."""
    if not isinstance(value, int | float) or not 0 <= value < LARGEST_NUMBER / 1000:
        raise Unusable("at is no moment")
    return _bounded(round(value * 1000))


def _bounded(since: int) -> int:
    if not 0 <= since < LARGEST_NUMBER:
        raise Unusable("the moment is out of range")
    return since


def measured(row: Mapping[str, Any], name: str) -> int | None:
    """A number that nobody is charged by: one that is none is left out."""
    try:
        return number(row, name) if is_there(row, name) else None
    except Unusable:
        return None
