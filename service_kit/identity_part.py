"""The characters in which a part of an identity travels to everything downstream.

Every part becomes an HTTP header value. A part is encoded once, where it is read from a policy or a token, and compared
only in its encoded form; the encoding is injective, so two identities never meet in one header.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from service_kit.contract import MISSING

LONGEST_PART: Final = 256
# Of the part with patterns of models, in bytes: tokens carry it, too.
LONGEST_MODELS: Final = 2048
# A name, its beginning or its end, with `*` for the rest.
_MODEL_PATTERN: Final = re.compile(r"[A-Za-z0-9._:/@+-]{0,127}\*|\*?[A-Za-z0-9._:/@+-]{1,127}|[A-Za-z0-9._:/@+-]{128}")
_VISIBLE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
_PLAIN: Final = re.compile(r"[\x21-\x24\x26-\x7e]+")


class UnusablePart(ValueError):  # noqa: N818 - a verdict on data that callers map to a denial or a NACK
    """A text that cannot stand in an identity header: empty, too long, or the sign for "missing"."""


def identity_part(text: str) -> str:
    """The text with everything but visible ASCII percent-encoded, `%` too; UnusablePart where none can stand for it."""
    try:
        encoded = text if _PLAIN.fullmatch(text) else quote(text, safe=_VISIBLE)
    except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair
        raise UnusablePart("is not Unicode text") from error
    if not encoded:
        raise UnusablePart("is empty")
    if encoded == MISSING:
        raise UnusablePart(f"is {MISSING!r}, which stands for a missing value")
    if len(encoded) > LONGEST_PART:
        raise UnusablePart(f"is longer than {LONGEST_PART} bytes")
    return encoded


def models_part(patterns: Iterable[str]) -> str:
    """The part that restricts to models of these names; whoever looks for one puts commas around it, too."""
    found = sorted(set(patterns))
    for pattern in found:
        if not _MODEL_PATTERN.fullmatch(pattern):
            raise UnusablePart(f"holds {pattern!r}, which is no pattern of models")
    encoded = ",".join(["", *found, ""]) if found else ","
    if len(encoded) > LONGEST_MODELS:
        raise UnusablePart(f"is longer than {LONGEST_MODELS} bytes")
    return encoded
