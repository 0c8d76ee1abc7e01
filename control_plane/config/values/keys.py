"""API keys as configurations declare them, and when they end."""

import re
from datetime import UTC, datetime
from typing import Annotated

from control_plane.config.values.base import Mistake, scalar
from service_kit.api_keys import HASH_SCHEME, ID_PATTERN, PREFIX, read_hash, written_hash

KEY_ID_PATTERN = f"^{ID_PATTERN}$"
KEY_HASH_PATTERN = f"^{HASH_SCHEME}:[0-9a-fA-F]{{64}}$"
MOMENT_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2})?([Zz]|[+-][0-9]{2}:[0-9]{2}))?$"
# What may stand in a query without being escaped in more than one way (RFC 3986, 2.3).
PARAMETER_PATTERN = r"^[A-Za-z0-9._~-]{1,64}$"
# RFC 6265, 4.1.1, without what other grammars give a meaning.
COOKIE_PATTERN = r"^[A-Za-z0-9!#$&'*+.^_`|~-]{1,64}$"


def declared_key_id(text: str) -> str:
    """The public part of a key."""
    if not re.fullmatch(KEY_ID_PATTERN, text):
        cure = f"write the 12 letters and digits that follow {PREFIX!r}; `tollgate keys hash` shows them"
        if text.startswith(PREFIX):
            raise Mistake("this is the key itself", cure)
        raise Mistake("is no id of a key", cure, value=text)
    return text


def declared_key_hash(text: str) -> str:
    """The hash of a key; what stands in its place is not shown."""
    if text.startswith(PREFIX):
        cure = "write its hash, which `tollgate keys hash` makes, and replace the key if anybody has seen this file"
        raise Mistake("this is the key itself", cure)
    digest = read_hash(text)
    if digest is None:
        raise Mistake("this is no hash of a key", f"write {HASH_SCHEME}:..., which `tollgate keys hash` makes")
    return written_hash(digest)


def moment(text: str) -> int:
    """Seconds since the epoch of a day or of a time with its zone (RFC 3339)."""
    cure = "write 2030-12-31, which begins at 00:00 UTC, or 2030-12-31T18:00:00Z"
    if not re.fullmatch(MOMENT_PATTERN, text):
        raise Mistake("is no time", cure, value=text)
    try:
        found = datetime.fromisoformat(text.upper())
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise Mistake("is no time", cure, value=text) from None


def written_moment(seconds: int) -> str:
    """The moment as people write it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parameter(text: str) -> str:
    """The name of a query parameter."""
    if not re.fullmatch(PARAMETER_PATTERN, text):
        cure = "use up to 64 letters, digits, '.', '_', '~' and '-'"
        raise Mistake("is no name of a parameter", cure, value=text)
    return text


def cookie(text: str) -> str:
    """The name of a cookie."""
    if not re.fullmatch(COOKIE_PATTERN, text):
        cure = "use up to 64 letters, digits, '_' and '-'"
        raise Mistake("is no name of a cookie", cure, value=text)
    return text


DeclaredKeyId = Annotated[str, scalar(declared_key_id, pattern=KEY_ID_PATTERN, description="the id of a key")]
DeclaredKeyHash = Annotated[str, scalar(declared_key_hash, pattern=KEY_HASH_PATTERN, description="the hash of a key")]
Moment = Annotated[
    int, scalar(moment, pattern=MOMENT_PATTERN, description="a time such as 2030-12-31", written=written_moment)
]
ParameterName = Annotated[str, scalar(parameter, pattern=PARAMETER_PATTERN, description="a name of a query parameter")]
CookieName = Annotated[str, scalar(cookie, pattern=COOKIE_PATTERN, description="a name of a cookie")]
