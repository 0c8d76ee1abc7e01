"""Paths: what a route matches, and what replaces it."""

import re
from typing import Annotated

from control_plane.config.values.base import Mistake, scalar

PATH_PATTERN = r"^/"
SUBSTITUTION_PATTERN = r"^[^?#]*$"
LONGEST_PATH = 1024

# RFC 3986 section 3.3; what a URI may not hold (`"<>\^`{|}` and the space) never arrives in a request either.
PATH_CHARACTERS = re.compile(r"[A-Za-z0-9/._~!$&'()+,;=:@%*-]*")
ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
UNRESERVED = re.compile(rb"[A-Za-z0-9._~-]")
VARIABLE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
VARIABLE_CHARACTER = "x"
DOT_SEGMENT = re.compile(r"/\.\.?(/|$)")
# A group in a substitution.
GROUP = re.compile(r"\\([0-9])")


def path_pattern(text: str) -> str:
    """`/exact`, `/prefix/*` for the prefix and everything below it; `{name}` stands for one segment of either."""
    if "*" in text.removesuffix("/*"):
        cure = "write /prefix/*, an exact path, or {name} for one segment"
        raise Mistake("has `*` in another place than the end", cure, value=text)
    _check_path(without_variables(text.removesuffix("*"), text), text)
    return text


def absolute_path(text: str) -> str:
    """A path that is no pattern."""
    if "*" in text:
        raise Mistake("has `*`, which only `match.path` knows", "write the path or prefix alone", value=text)
    _check_path(text, text)
    return text


def replacement_path(text: str) -> str:
    """The path that replaces a matched one; `{name}` stands for what the variable of the pattern took.

    A variable is a whole segment here, too, so that what it took cannot become a part of `..`.
    """
    if "*" in text:
        raise Mistake("has `*`, which only `match.path` knows", "write the path or prefix alone", value=text)
    segments = [VARIABLE_CHARACTER if VARIABLE.fullmatch(part) else part for part in text.split("/")]
    if any({"{", "}"} & set(part) for part in segments):
        raise Mistake(
            "has a brace that begins no variable", "a variable is a whole segment: write /v2/{id}", value=text
        )
    _check_path("/".join(segments), text)
    return text


def substitution(text: str) -> str:
    """What replaces the matches of an expression in a path; a backslash and a digit are a group, 0 the whole match."""
    plain = GROUP.sub(VARIABLE_CHARACTER, text)
    if not PATH_CHARACTERS.fullmatch(plain) or len(text) > LONGEST_PATH:
        cure = f"use up to {LONGEST_PATH} characters that a path may hold, and \\1 to \\9 for groups"
        raise Mistake("is no part of a path", cure, value=text)
    if "//" in plain or DOT_SEGMENT.search(plain):
        raise Mistake("is not normalized", "write it without '//', '/./' and '/../'", value=text)
    for escape in ESCAPE.finditer(plain):
        _check_escape(text, escape[0], escape[1])
    return text


def without_variables(path: str, text: str) -> str:
    """The path with a letter for each variable; Mistake where a brace begins none."""
    names = VARIABLE.findall(path)
    for index, name in enumerate(names):
        if name in names[:index]:
            raise Mistake(f"has two variables {{{name}}}", "give each a name of its own", value=text)
    segments = [VARIABLE_CHARACTER if VARIABLE.fullmatch(part) else part for part in path.split("/")]
    plain = "/".join(segments)
    if {"{", "}"} & set(plain):
        cure = "a variable is a whole segment: write /users/{id}/orders, its name in small letters, digits and _"
        raise Mistake("has a brace that begins no variable", cure, value=text)
    return plain


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


PathPattern = Annotated[
    str, scalar(path_pattern, pattern=PATH_PATTERN, description="a path such as /exact, /prefix/* or /users/{id}")
]
AbsolutePath = Annotated[str, scalar(absolute_path, pattern=PATH_PATTERN, description="a path such as /v2/")]
ReplacementPath = Annotated[str, scalar(replacement_path, pattern=PATH_PATTERN, description="a path such as /v2/")]
Substitution = Annotated[
    str,
    scalar(substitution, pattern=SUBSTITUTION_PATTERN, description="a path such as /v2/\\\\1"),
]
