"""What every part of the model is made of: strictness, names, lists without repeats, and choices between shapes."""

from typing import Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field

from control_plane.config.values.base import Mistake
from control_plane.config.values.text import Name

# Branches of a union in the locations of pydantic's errors; the brackets keep them apart from keys people write.
BRANCHES = ("<word>", "<list>", "<mapping>", "<secret>", "<file>", "<url>", "<discovery>")
WORD, LIST, MAPPING, SECRET, FILE, URL, DISCOVERY = BRANCHES

# Errors of a union where no branch fits; explain.py has the words of the first two, the third brings its own.
WORD_OR_LIST: Final = "word_or_list"
KEY_SOURCE: Final = "key_source"
SHAPE: Final = "shape"

T = TypeVar("T")


def _without_repeats(values: tuple[T, ...]) -> tuple[T, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise Mistake("stands twice", "drop one", value=str(value), at=(index,))
    return values


def _shape(value: Any) -> str | None:
    """Which branch of a choice the value is meant for."""
    if isinstance(value, str):
        return WORD
    if isinstance(value, tuple):
        return LIST
    return MAPPING if isinstance(value, dict | BaseModel) else None


def _something(values: tuple[T, ...]) -> tuple[T, ...]:
    if not values:
        raise Mistake("the list is empty", "write at least one entry")
    return values


Unique = AfterValidator(_without_repeats)
Some = AfterValidator(_something)
WORDS_OR_LIST: Final = Discriminator(_shape, custom_error_type=WORD_OR_LIST, custom_error_message=WORD_OR_LIST)


def shapes(expected: str, cure: str) -> Discriminator:
    """A choice by shape: a word, a list or a mapping. The words are shown where the value has another shape."""
    return Discriminator(_shape, custom_error_type=SHAPE, custom_error_message=f"{expected}\n{cure}")


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Named(Model):
    """An entry of a list that is known by its name."""

    name: Name = Field(description="its name; each name once")
