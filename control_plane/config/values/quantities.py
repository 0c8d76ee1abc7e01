"""Durations, rates, sizes and shares."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, GetPydanticSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from control_plane.config.values.base import Mistake, scalar
from service_kit.contract import LONGEST_LEEWAY
from service_kit.gateway_tokens import LONGEST_LIFETIME as LONGEST_TOKEN_LIFETIME

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
# Calendar windows, UTC.
WINDOWS = ("day", "week", "month")
BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
LARGEST_RATE = 1_000_000_000
# Counters are exact below 2**50 of their smallest unit; of money that is a billionth.
BILLION = 10**9
LARGEST_AMOUNT = 10**15
LONGEST_DURATION = SECONDS["d"]
SHORTEST_REFRESH = 1.0
LONGEST_LIFETIME = 366 * SECONDS["d"]
LONGEST_RETENTION = 3660 * SECONDS["d"]
SMALLEST_BODY_LIMIT = 1
LARGEST_BODY_LIMIT = 64 * 2**20

DURATION_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h|d)$"
RATE_PATTERN = r"^[0-9]{1,18}/(second|minute|hour|day)$"
AMOUNT_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,9})?/(day|week|month)$"
SIZE_PATTERN = r"^[0-9]{1,18}(B|KB|MB|GB|KiB|MiB|GiB)$"


@dataclass(frozen=True)
class RateValue:
    """So many in a period of so many seconds."""

    amount: int
    period_seconds: int

    def __str__(self) -> str:
        period = next(name for name, seconds in PERIODS.items() if seconds == self.period_seconds)
        return f"{self.amount}/{period}"


@dataclass(frozen=True)
class AmountValue:
    """So many billionths in a calendar window: a decimal fraction that is exact."""

    billionths: int
    window: str

    @property
    def whole(self) -> int | None:
        """The amount where it is a whole number."""
        number, rest = divmod(self.billionths, BILLION)
        return None if rest else number

    def __str__(self) -> str:
        number, rest = divmod(self.billionths, BILLION)
        fraction = f".{rest:09}".rstrip("0") if rest else ""
        return f"{number}{fraction}/{self.window}"


def duration(text: str) -> float:
    """Seconds in `500ms`, `30s`, `5m`, `2h` or `1d`."""
    if not re.fullmatch(DURATION_PATTERN, text):
        raise Mistake("is no duration", "write 500ms, 30s, 5m, 2h or 1d", value=text)
    number = text.rstrip("mshd")
    return float(number) * SECONDS[text.removeprefix(number)]


def rate(text: str) -> RateValue:
    """The rate in `60/minute`; the period is second, minute, hour or day."""
    if not re.fullmatch(RATE_PATTERN, text):
        raise Mistake("is no rate", "write 10/second, 60/minute, 1000/hour or 5000/day", value=text)
    number, _, period = text.partition("/")
    if not 1 <= int(number) <= LARGEST_RATE:
        raise Mistake("is out of range", f"write a number from 1 to {LARGEST_RATE}", value=text)
    return RateValue(int(number), PERIODS[period])


def amount(text: str) -> AmountValue:
    """The amount in `100/month` or `5.00/day`; the window is day, week or month."""
    if not re.fullmatch(AMOUNT_PATTERN, text):
        raise Mistake("is no amount", "write 100/day, 500/week, 50000/month or, of usd, 5.00/month", value=text)
    number, _, window = text.partition("/")
    whole, _, fraction = number.partition(".")
    billionths = int(whole) * BILLION + int(fraction.ljust(9, "0"))
    if not 1 <= billionths <= LARGEST_AMOUNT * BILLION:
        raise Mistake("is out of range", f"write a number above 0, up to {LARGEST_AMOUNT}", value=text)
    return AmountValue(billionths, window)


def size(text: str) -> int:
    """Bytes in `512KiB`, `8MiB` or `10MB`."""
    if not re.fullmatch(SIZE_PATTERN, text):
        raise Mistake("is no size", "write 512KiB, 8MiB or 10MB", value=text)
    number = text.rstrip("BKMGi")
    return int(number) * BYTES[text.removeprefix(number)]


def written_duration(seconds: float) -> str:
    """The duration as people write it."""
    if seconds == 0:
        return "0s"
    unit = next((unit for unit in "dhms" if seconds % SECONDS[unit] == 0), None)
    if unit is None:
        return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"
    return f"{seconds / SECONDS[unit]:.0f}{unit}"


def written_size(count: int) -> str:
    """The size as people write it."""
    unit = next(unit for unit in ("GiB", "MiB", "KiB", "B") if count % BYTES[unit] == 0)
    return f"{count // BYTES[unit]}{unit}"


def _duration_between(least: float, most: float) -> Callable[[str], float]:
    def bounded(text: str) -> float:
        seconds = duration(text)
        if not least <= seconds <= most:
            cure = f"write a duration from {written_duration(least)} to {written_duration(most)}"
            raise Mistake("is out of range", cure, value=text)
        return seconds

    return bounded


def _whole_seconds_between(least: float, most: float) -> Callable[[str], int]:
    bounded = _duration_between(least, most)

    def whole(text: str) -> int:
        seconds = bounded(text)
        if not seconds.is_integer():
            raise Mistake("is no whole number of seconds", "round it", value=text)
        return int(seconds)

    return whole


def body_size(text: str) -> int:
    """The largest body a route takes, in bytes."""
    count = size(text)
    if not SMALLEST_BODY_LIMIT <= count <= LARGEST_BODY_LIMIT:
        cure = f"write a size from {written_size(SMALLEST_BODY_LIMIT)} to {written_size(LARGEST_BODY_LIMIT)}"
        raise Mistake("is out of range", cure, value=text)
    return count


def _duration(parse: Callable[[str], float], description: str) -> GetPydanticSchema:
    return scalar(parse, pattern=DURATION_PATTERN, description=description, written=written_duration)


Seconds = Annotated[float, _duration(_duration_between(0.001, LONGEST_DURATION), "a duration such as 500ms, 30s or 5m")]
Refresh = Annotated[
    float, _duration(_duration_between(SHORTEST_REFRESH, LONGEST_DURATION), "a duration such as 30s, 5m or 1h")
]
Lifetime = Annotated[int, _duration(_whole_seconds_between(1, LONGEST_LIFETIME), "a duration such as 5m, 24h or 30d")]
Retention = Annotated[
    int, _duration(_whole_seconds_between(SECONDS["d"], LONGEST_RETENTION), "a duration such as 90d or 400d")
]
TokenLifetime = Annotated[
    int, _duration(_whole_seconds_between(1, LONGEST_TOKEN_LIFETIME), "a duration such as 60s or 5m")
]
Leeway = Annotated[int, _duration(_whole_seconds_between(0, LONGEST_LEEWAY), "a duration such as 5s or 30s")]
Rate = Annotated[RateValue, scalar(rate, pattern=RATE_PATTERN, description="a rate such as 60/minute")]
Amount = Annotated[AmountValue, scalar(amount, pattern=AMOUNT_PATTERN, description="an amount such as 100/month")]
Size = Annotated[
    int, scalar(size, pattern=SIZE_PATTERN, description="a size such as 512KiB or 8MiB", written=written_size)
]
BodySize = Annotated[
    int, scalar(body_size, pattern=SIZE_PATTERN, description="a size such as 512KiB or 8MiB", written=written_size)
]


@dataclass(frozen=True)
class Between:
    """A number within bounds; both belong to it. The published schema names its unit, where it counts no things."""

    least: int
    most: int
    unit: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._bounded, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        bounds = {"minimum": self.least, "maximum": self.most}
        return {**handler(schema), **bounds, **({"x-unit": self.unit} if self.unit else {})}

    def _bounded(self, value: float) -> float:
        if not self.least <= value <= self.most:
            raise Mistake("is out of range", f"write a number from {self.least} to {self.most}", value=f"{value:g}")
        return value


Percent = Annotated[float, Between(0, 100, "percent")]
Port = Annotated[int, Between(1, 65535)]
Weight = Annotated[int, Between(0, 1_000_000)]
