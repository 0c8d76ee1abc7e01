"""What a scalar stands for: variables of the environment are put in, then an unquoted one is given its type.

The types are those of YAML 1.2's core schema, and the truth values of YAML 1.1 (`no`, `on`): another tool that reads
the same file takes those for booleans, so text that looks like one is asked for in quotes. Dates, octal numbers and
the like stay text: no key takes them.
"""

import re
from collections.abc import Mapping

# `$${` is a literal `${`; a default ends at the first brace.
REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
# In one value; each may be as large as the environment allows.
MOST_REFERENCES = 1_000
NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)

TRUTH_VALUES = {
    spelling: value
    for words, value in ((("true", "yes", "on"), True), (("false", "no", "off"), False))
    for word in words
    for spelling in (word, word.capitalize(), word.upper())
}
NULLS = frozenset({"", "~", "null", "Null", "NULL"})
INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
FLOAT = re.compile(r"[-+]?([0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18})")
# Tabs and line ends may stand in a secret; no other control character, and no half of a surrogate pair.
UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

Value = str | bool | int | float | None


class BadScalar(ValueError):  # noqa: N818 - it is the scalar that is bad
    """A scalar that stands for nothing; the cure is separate."""

    def __init__(self, message: str, cure: str) -> None:
        self.cure = cure
        super().__init__(message)


def refers_to_environment(text: str) -> bool:
    """Whether the value may hold what the file does not show."""
    return "${" in text


def substituted(text: str, environ: Mapping[str, str]) -> str:
    """The text with `${NAME}` and `${NAME:-default}` replaced; as in a shell, the default also stands in for empty."""
    if text.count("${") > MOST_REFERENCES:
        raise BadScalar(f"the value names more than {MOST_REFERENCES} variables", "name one that holds all of it")
    value = REFERENCE.sub(lambda reference: _replacement(reference, environ), text) if "${" in text else text
    return with_writable_characters(value)


def with_writable_characters(value: str) -> str:
    """The value itself; BadScalar where it holds what no key takes."""
    if not value.isprintable() and UNWRITABLE.search(value):
        raise BadScalar("the value holds control characters or is not valid UTF-8", "write visible characters")
    return value


def _replacement(reference: re.Match[str], environ: Mapping[str, str]) -> str:
    whole, inner = reference[0], reference[1]
    if whole == "$${":
        return "${"
    if inner is None:
        raise BadScalar("`${` is never closed", "write ${NAME}, or $${ for the characters themselves")
    match = NAME.fullmatch(inner)
    if match is None or "${" in (match[2] or ""):
        cure = "write ${NAME} or ${NAME:-default}; a default holds no other variable"
        raise BadScalar(f"`{whole}` is no reference to a variable", cure)
    name, default = match[1], match[2]
    value = environ.get(name)
    if default is not None:
        return value or default
    if value is None:
        raise BadScalar(
            f"the environment variable {name} is not set",
            f"set it; what is no secret may have a default: ${{{name}:-default}}",
        )
    return value


def plain_value(text: str) -> Value:
    """The value of an unquoted scalar."""
    if text in NULLS:
        return None
    if text in TRUTH_VALUES:
        return TRUTH_VALUES[text]
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if FLOAT.fullmatch(text) else text
