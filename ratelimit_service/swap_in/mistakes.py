"""Mistakes in a swap-in configuration are values: each names its place, what is wrong and the cure."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

# Nobody reads more.
MOST_MISTAKES = 100


@dataclass(frozen=True, order=True)
class Place:
    """A place in a file; line and column count from 1. Line 0: the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, order=True)
class Mistake:
    """What is wrong at a place, and the cure."""

    place: Place
    message: str
    cure: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}; {self.cure}"


class InvalidRules(Exception):  # noqa: N818 - what the files are, not a kind of error
    """The configuration cannot be used; one line a mistake."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes))[:MOST_MISTAKES]
        super().__init__("\n".join(map(str, self.mistakes)))


def nearest(word: str, known: Iterable[str]) -> str:
    """The cure for a misspelled word."""
    words = sorted(known)
    match = get_close_matches(word, words, n=1)
    return f"did you mean `{match[0]}`?" if match else f"write one of {', '.join(words)}"
