"""Names, words and text."""

import re
from typing import Annotated

import re2

from control_plane.config.values.base import Mistake, scalar
from service_kit.contract import MISSING

NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
TEXT_PATTERN = r"^.+$"
# Visible ASCII but for a comma, which joins headers; for `"` and `\`, which scopes cannot have (RFC 6749 3.3); and for
# `%`, by which identity headers encode the rest.
WORD_PATTERN = r"^[!#$&-+\--\[\]-~]{1,256}$"
LONGEST_TEXT = 1024
HEADER_PATTERN = r"^[a-z0-9!#$%&'*+.^`|~-]{1,128}$"
HEADER_VALUE_PATTERN = r"^[ -~]*$"
# Instructions of RE2; a larger program costs each request that it is tried on. Envoy is started with a higher bound.
LARGEST_PROGRAM = 1000


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


Name = Annotated[str, scalar(name, pattern=NAME_PATTERN, description="a name")]
Word = Annotated[str, scalar(word, pattern=WORD_PATTERN, description="a word without spaces and commas")]
Text = Annotated[str, scalar(text, pattern=TEXT_PATTERN, description="text")]


def header_name(text: str) -> str:
    """The name of a header (RFC 9110, 5.1), in small letters as HTTP/2 has it."""
    if text != text.lower():
        raise Mistake("has capital letters", f"write {text.lower()!r}", value=text)
    if "_" in text and re.fullmatch(HEADER_PATTERN, text.replace("_", "-")):
        raise Mistake("has an underscore", "requests with such headers are refused: use '-'", value=text)
    if not re.fullmatch(HEADER_PATTERN, text):
        raise Mistake("is no name of a header", "write it like x-request-source", value=text)
    return text


def header_value(text: str) -> str:
    """What a header may hold: visible characters, spaces inside."""
    if not re.fullmatch(HEADER_VALUE_PATTERN, text) or text != text.strip() or len(text) > LONGEST_TEXT:
        cure = f"write up to {LONGEST_TEXT} visible ASCII characters, with spaces only between them"
        raise Mistake("is no value of a header", cure, value=text)
    return text


def regex(text: str) -> str:
    """A regular expression in RE2's syntax, the one that Envoy runs: byte by byte, so it may name ASCII alone."""
    if not text.isascii() or not text.isprintable() or not text or len(text) > LONGEST_TEXT:
        raise Mistake("is no regular expression", f"write 1 to {LONGEST_TEXT} visible ASCII characters", value=text)
    options = re2.Options()
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    try:
        compiled = re2.compile(text.encode(), options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        cure = "use RE2 syntax: no look-around and no back-references"
        raise Mistake(f"is no regular expression: {reason}", cure, value=text) from None
    if compiled.programsize > LARGEST_PROGRAM:
        raise Mistake("is too complex a regular expression", "shorten it, or lower its repetitions", value=text)
    return text


HeaderName = Annotated[str, scalar(header_name, pattern=HEADER_PATTERN, description="a name of a header")]
HeaderValue = Annotated[str, scalar(header_value, pattern=HEADER_VALUE_PATTERN, description="a value of a header")]
Regex = Annotated[str, scalar(regex, pattern=TEXT_PATTERN, description="a regular expression")]
