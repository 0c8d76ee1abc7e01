"""Settings that envoyproxy/ratelimit has too, read from its own environment variables.

Errors: SettingError
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from service_kit.settings import SettingError

# strconv.ParseBool, which reads them there
TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE: Final = frozenset({"", "0", "f", "F", "false", "FALSE", "False"})
HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
NEAR_LIMIT: Final = 0.8


@dataclass(frozen=True)
class Headers:
    """The names of the headers that tell of the descriptor nearest to its limit."""

    limit: str = "RateLimit-Limit"
    remaining: str = "RateLimit-Remaining"
    reset: str = "RateLimit-Reset"


@dataclass(frozen=True)
class SwapInSettings:
    """How answers are made; the defaults are those of envoyproxy/ratelimit."""

    merge_domains: bool = False
    shadow_mode: bool = False
    quota_mode: bool = False
    response_metadata: bool = False
    only_over: bool = False
    near_limit: float = NEAR_LIMIT
    key_prefix: str = ""
    headers: Headers | None = None


def swap_in_settings(environ: Mapping[str, str]) -> SwapInSettings:
    """The settings that these variables make."""
    return SwapInSettings(
        merge_domains=_flag(environ, "MERGE_DOMAIN_CONFIG"),
        shadow_mode=_flag(environ, "SHADOW_MODE"),
        quota_mode=_flag(environ, "QUOTA_MODE"),
        response_metadata=_flag(environ, "RESPONSE_DYNAMIC_METADATA"),
        only_over=_flag(environ, "STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT"),
        near_limit=_ratio(environ, "NEAR_LIMIT_RATIO"),
        key_prefix=_key_prefix(environ, "CACHE_KEY_PREFIX"),
        headers=_headers(environ) if _flag(environ, "LIMIT_RESPONSE_HEADERS_ENABLED") else None,
    )


def _flag(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name, "")
    if text not in TRUE | FALSE:
        raise SettingError(f"{name}: {text!r} is neither true nor false")
    return text in TRUE


def _ratio(environ: Mapping[str, str], name: str) -> float:
    text = environ.get(name, "")
    if not text:
        return NEAR_LIMIT
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise SettingError(f"{name}: {text!r} is no number from 0 to 1")
    return ratio


def _key_prefix(environ: Mapping[str, str], name: str) -> str:
    prefix = environ.get(name, "")
    if "{" in prefix or "}" in prefix:
        raise SettingError(f"{name}: {prefix!r} has braces, which tell a cluster where a key lives: leave them out")
    return prefix


def _headers(environ: Mapping[str, str]) -> Headers:
    default = Headers()
    return Headers(
        limit=_header(environ, "LIMIT_LIMIT_HEADER", default.limit),
        remaining=_header(environ, "LIMIT_REMAINING_HEADER", default.remaining),
        reset=_header(environ, "LIMIT_RESET_HEADER", default.reset),
    )


def _header(environ: Mapping[str, str], name: str, default: str) -> str:
    header = environ.get(name) or default
    if not HEADER_NAME.fullmatch(header):
        raise SettingError(f"{name}: {header!r} is no name of a header")
    return header
