"""The small languages inside scalars: durations, rates, sizes, addresses, paths. Each parses into what the compiler
needs.

A parser raises Mistake, whose words are shown to the admin as they stand. Each language also knows how its values are
written, so that defaults in the published schema read as an admin would write them.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import GetJsonSchemaHandler, GetPydanticSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from control_plane.config.errors import Path
from service_kit.contract import LONGEST_LEEWAY, MISSING
from service_kit.endpoint import EndpointError, TcpEndpoint, parse_endpoint

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
LARGEST_RATE = 1_000_000_000
LONGEST_DURATION = SECONDS["d"]
LONGEST_LIFETIME = 366 * SECONDS["d"]
SMALLEST_BODY_LIMIT = 1
LARGEST_BODY_LIMIT = 64 * 2**20

DURATION_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h|d)$"
RATE_PATTERN = r"^[0-9]{1,18}/(second|minute|hour|day)$"
SIZE_PATTERN = r"^[0-9]{1,18}(B|KB|MB|GB|KiB|MiB|GiB)$"
NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
TEXT_PATTERN = r"^.+$"
# Visible ASCII but for a comma, which joins headers; for `"` and `\`, which scopes cannot have (RFC 6749 3.3); and for
# `%`, by which identity headers encode the rest.
WORD_PATTERN = r"^[!#$&-+\--\[\]-~]{1,256}$"
HOST_PATTERN = r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
ADDRESS_PATTERN = r"^.+:[0-9]{1,5}$"
URL_PATTERN = r"^http://"
PATH_PATTERN = r"^/"
LONGEST_HOST = 253
LONGEST_TEXT = 1024
LONGEST_PATH = 1024

T = TypeVar("T")

# RFC 3986 section 3.3; what a URI may not hold (`"<>\^`{|}` and the space) never arrives in a request either.
PATH_CHARACTERS = re.compile(r"[A-Za-z0-9/._~!$&'()+,;=:@%*-]*")
ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
UNRESERVED = re.compile(rb"[A-Za-z0-9._~-]")
# Names of containers may hold underscores.
UPSTREAM_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
UPSTREAM_HOST = re.compile(rf"{UPSTREAM_LABEL}(\.{UPSTREAM_LABEL})*")


class Mistake(ValueError):  # noqa: N818 - the word admins read: the model reports mistakes
    """What is wrong with a value, and the cure; `at` leads from the reported place to the very part that is wrong.

    `value` is what was written, for values that are no secret: it is put in front of the message.
    """

    def __init__(self, message: str, cure: str, *, value: str | None = None, at: Path = ()) -> None:
        self.message = message
        self.cure = cure
        self.value = value
        self.at = at
        super().__init__(message if value is None else f"{value!r} {message}")


class NotText(Mistake):
    """A number, list or the like where one of these languages is expected."""

    def __init__(self, expected: str, parse: Callable[[str], object]) -> None:
        self.parse = parse
        super().__init__(f"expected {expected}", "write it as text")


@dataclass(frozen=True)
class RateValue:
    """So many requests in a period of so many seconds."""

    requests: int
    period_seconds: int

    def __str__(self) -> str:
        period = next(name for name, seconds in PERIODS.items() if seconds == self.period_seconds)
        return f"{self.requests}/{period}"


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
    requests, _, period = text.partition("/")
    if not 1 <= int(requests) <= LARGEST_RATE:
        raise Mistake("is out of range", f"write a number of requests from 1 to {LARGEST_RATE}", value=text)
    return RateValue(int(requests), PERIODS[period])


def size(text: str) -> int:
    """Bytes in `512KiB`, `8MiB` or `10MB`."""
    if not re.fullmatch(SIZE_PATTERN, text):
        raise Mistake("is no size", "write 512KiB, 8MiB or 10MB", value=text)
    number = text.rstrip("BKMGi")
    return int(number) * BYTES[text.removeprefix(number)]


def address(text: str) -> TcpEndpoint:
    """The IP address and port of a listener; Envoy binds addresses, it resolves no names."""
    if not re.fullmatch(ADDRESS_PATTERN, text):
        raise Mistake("is no address", "write IP:PORT, such as 0.0.0.0:8800 or [::]:8800", value=text)
    try:
        endpoint = parse_endpoint(text)
    except EndpointError:
        raise Mistake("is no address", "write IP:PORT with a port from 1 to 65535", value=text) from None
    if not isinstance(endpoint, TcpEndpoint) or not _is_ip(endpoint.host):
        raise Mistake("does not name an IP address", "write one, such as 127.0.0.1:8800 or 0.0.0.0:8800", value=text)
    if endpoint.port == 0:
        raise Mistake("has port 0, which would be another one at each start", "name a port", value=text)
    return endpoint


def upstream_url(text: str) -> TcpEndpoint:
    """The host and port of `http://host:port`."""
    if text.startswith("https://"):
        raise Mistake("asks for TLS, which upstreams do not have yet", "write http://HOST:PORT", value=text)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", 80 if parts.port is None else parts.port
    except ValueError:
        raise Mistake("is no URL", "write http://HOST:PORT", value=text) from None
    if parts.username is not None:
        raise Mistake("the URL holds a user name or password", "write http://HOST:PORT")
    if parts.scheme != "http" or not (UPSTREAM_HOST.fullmatch(host) or _is_ip(host)):
        raise Mistake("is no URL of an upstream", "write http://HOST:PORT", value=text)
    if parts.path not in ("", "/") or not text.isprintable() or {"?", "#"} & set(text):
        raise Mistake("says more than host and port", "a path belongs into the route's `rewrite`", value=text)
    if port == 0:
        raise Mistake("has port 0, where nothing listens", "name the upstream's port", value=text)
    return TcpEndpoint(host, port)


def name(text: str) -> str:
    """A name that admins choose."""
    if not re.fullmatch(NAME_PATTERN, text):
        cure = "use up to 63 letters, digits, '.', '_' and '-', the first and last one a letter or digit"
        raise Mistake("is no name", cure, value=text)
    return text


def word(text: str) -> str:
    """An identity's part, scope or role: it travels in a header and in comma-separated lists."""
    if not re.fullmatch(WORD_PATTERN, text):
        raise Mistake(
            "cannot travel in a header", 'use up to 256 visible ASCII characters, none of , % " and \\', value=text
        )
    if text == MISSING:
        raise Mistake("stands for a missing value", "choose another word", value=text)
    return text


def text(written: str) -> str:
    """Text that is compared as it stands."""
    if not written or not written.isprintable() or len(written) > LONGEST_TEXT:
        cure = f"write 1 to {LONGEST_TEXT} characters, no line breaks"
        raise Mistake("is empty, too long or holds control characters", cure, value=written)
    return written


def host(text: str) -> str:
    """A host name, or `*.` and a suffix, as clients send it in lower case and without a port."""
    if text == "*":
        raise Mistake("matches every host", "drop `hosts`: without it a route takes all hosts", value=text)
    if text != text.lower():
        raise Mistake("has capital letters", f"write {text.lower()!r}", value=text)
    if not re.fullmatch(HOST_PATTERN, text) or len(text) > LONGEST_HOST:
        cure = "write api.example.com or *.example.com: no scheme, no port, international names as xn--"
        raise Mistake("is no host name", cure, value=text)
    return text


def path_pattern(text: str) -> str:
    """`/exact`, or `/prefix/*` for the prefix and everything below it."""
    if "*" in text.removesuffix("/*"):
        raise Mistake("has `*` in another place than the end", "write /prefix/* or an exact path", value=text)
    _check_path(text.removesuffix("*"), text)
    return text


def absolute_path(text: str) -> str:
    """The path that replaces a matched one."""
    if "*" in text:
        raise Mistake("has `*`, which only `match.path` knows", "write the path or prefix alone", value=text)
    _check_path(text, text)
    return text


def _check_path(path: str, text: str) -> None:
    """Refuse a path that Envoy would not match in this very form, after it has normalized the request's."""
    if not path.startswith("/"):
        cure = "write the path alone" if "://" in path else f"write {'/' + text!r}"
        raise Mistake("does not begin with a slash", cure, value=text)
    if {"?", "#"} & set(path):
        raise Mistake("holds more than a path", "drop `?` or `#` and what follows", value=text)
    if not PATH_CHARACTERS.fullmatch(path) or len(path) > LONGEST_PATH:
        cure = f"use up to {LONGEST_PATH} characters that a URL may hold, all others as %XX of their UTF-8 bytes"
        raise Mistake("is no path of a URL", cure, value=text)
    if "//" in path or {".", ".."} & set(path.split("/")):
        cure = "requests are matched in their normal form: write it without '//', '/./' and '/../'"
        raise Mistake("is not normalized", cure, value=text)
    for escape in ESCAPE.finditer(path):
        _check_escape(text, escape[0], escape[1])


def _check_escape(text: str, escape: str, digits: str | None) -> None:
    if digits is None:
        raise Mistake("has a '%' that begins no escape", "write %25 for the character itself", value=text)
    byte = bytes.fromhex(digits)
    if byte in b"/\\\0":
        raise Mistake(f"holds {escape}", "requests with escaped slashes are refused: drop it", value=text)
    if UNRESERVED.fullmatch(byte):
        cure = f"requests are matched in their normal form: write {byte.decode()!r} for {escape}"
        raise Mistake("is not normalized", cure, value=text)


def _is_ip(text: str) -> bool:
    try:
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


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


def _scalar(
    parse: Callable[[str], T], *, pattern: str, description: str, written: Callable[[T], str] = str
) -> GetPydanticSchema:
    """A strict string that `parse` turns into its value; the JSON Schema keeps the string, its pattern and defaults."""

    def json_schema(_schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": pattern, "description": description}

    def parsed(value: object) -> T:
        if not isinstance(value, str):
            raise NotText(description, parse)
        return parse(value)

    return GetPydanticSchema(
        lambda _type, _handler: core_schema.no_info_plain_validator_function(
            parsed,
            metadata={"pydantic_js_functions": [json_schema]},
            serialization=core_schema.plain_serializer_function_ser_schema(written),
        )
    )


def _duration(parse: Callable[[str], float], description: str) -> GetPydanticSchema:
    return _scalar(parse, pattern=DURATION_PATTERN, description=description, written=written_duration)


Seconds = Annotated[float, _duration(_duration_between(0.001, LONGEST_DURATION), "a duration such as 500ms, 30s or 5m")]
Lifetime = Annotated[int, _duration(_whole_seconds_between(1, LONGEST_LIFETIME), "a duration such as 5m, 24h or 30d")]
Leeway = Annotated[int, _duration(_whole_seconds_between(0, LONGEST_LEEWAY), "a duration such as 5s or 30s")]
Rate = Annotated[RateValue, _scalar(rate, pattern=RATE_PATTERN, description="a rate such as 60/minute")]
BodySize = Annotated[
    int, _scalar(body_size, pattern=SIZE_PATTERN, description="a size such as 512KiB or 8MiB", written=written_size)
]
Name = Annotated[str, _scalar(name, pattern=NAME_PATTERN, description="a name")]
Word = Annotated[str, _scalar(word, pattern=WORD_PATTERN, description="a word without spaces and commas")]
Text = Annotated[str, _scalar(text, pattern=TEXT_PATTERN, description="text")]
Host = Annotated[
    str, _scalar(host, pattern=HOST_PATTERN, description="a host such as api.example.com or *.example.com")
]
PathPattern = Annotated[
    str, _scalar(path_pattern, pattern=PATH_PATTERN, description="a path such as /exact or /prefix/*")
]
AbsolutePath = Annotated[str, _scalar(absolute_path, pattern=PATH_PATTERN, description="a path such as /v2/")]
Address = Annotated[
    TcpEndpoint, _scalar(address, pattern=ADDRESS_PATTERN, description="an address such as 0.0.0.0:8800")
]
UpstreamUrl = Annotated[
    TcpEndpoint, _scalar(upstream_url, pattern=URL_PATTERN, description="a URL such as http://HOST:PORT")
]
