"""Configuration mistakes are values: each names its place, what is wrong and the cure; all are reported at once."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, NamedTuple

# Where mistakes are reported that stand in no file, but in the variables of the environment.
ENVIRONMENT: Final = "environment"
# Nobody reads more, and each is kept, sorted and logged.
MOST_MISTAKES: Final = 1_000
# Keys and indexes from the root of the configuration: ("routes", 0, "upstream").
Path = tuple[str | int, ...]


class Location(NamedTuple):
    """A place in a file; line and column count from 1, and are 0 for what is no file.

    A tuple: a large configuration has a million of them.
    """

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        file = writable(self.file)
        return f"{file}:{self.line}:{self.column}" if self.line else file


def writable(name: str) -> str:
    """The name of a file as it can be written anywhere: Linux takes any bytes for one."""
    return name.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Problem:
    """A mistake at a path of the configuration; `at_key` points at the key itself instead of at its value."""

    path: Path
    message: str
    cure: str | None = None
    at_key: bool = False


@dataclass(frozen=True)
class ConfigError:
    """A mistake at a place of a file, as the admin reads it."""

    location: Location
    path: Path
    message: str
    cure: str | None = None

    def __str__(self) -> str:
        where = f" ({dotted(self.path)})" if self.path else ""
        cure = f"; {self.cure}" if self.cure else ""
        return f"{self.location}: {self.message}{where}{cure}"


class InvalidConfig(Exception):  # noqa: N818 - it is the configuration that is invalid
    """A configuration that cannot be used, with every mistake found, up to a number that nobody reads.

    `files` are those it depends on, as far as they are known, with what was read of them: a change of one may be the
    cure.
    """

    def __init__(
        self, errors: Iterable[ConfigError], files: Mapping[pathlib.Path, bytes | None] = MappingProxyType({})
    ) -> None:
        # A mistake inside an anchor is found once for each of its aliases.
        found = {(error.location, error.message): error for error in reversed(tuple(errors))}
        self.errors = _not_too_many(sorted(found.values(), key=lambda error: (error.location, error.message)))
        self.files = files
        super().__init__("\n".join(str(error) for error in self.errors))


def _not_too_many(errors: Sequence[ConfigError]) -> tuple[ConfigError, ...]:
    if len(errors) <= MOST_MISTAKES:
        return tuple(errors)
    following = errors[MOST_MISTAKES]
    more = replace(following, path=(), message="from here on there are more mistakes", cure="mend those before")
    return (*errors[:MOST_MISTAKES], more)


def dotted(path: Path) -> str:
    """The path as people write it: `routes[0].match.path`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A cure for a misspelt name: the nearest known one, else the list of what is known."""
    names = {name.casefold(): name for name in sorted(known)}
    close = get_close_matches(word.casefold(), names, n=1)
    if close:
        return f"did you mean {names[close[0]]!r}?"
    return f"known: {', '.join(names.values())}" if names else None
