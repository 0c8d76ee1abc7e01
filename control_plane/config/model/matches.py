"""Which requests a route takes."""

from typing import Annotated, Self

from pydantic import Field, Tag, model_validator

from control_plane.config.model.base import MAPPING, WORD, Model, Unique, shapes
from control_plane.config.model.retries import Method
from control_plane.config.values.base import Mistake
from control_plane.config.values.network import Host
from control_plane.config.values.paths import PathPattern
from control_plane.config.values.quantities import Between
from control_plane.config.values.text import HeaderName, Regex, Text


class TextMatch(Model):
    """A test of a header or query parameter; exactly one of its keys."""

    exact: Text | None = Field(None, description="the value itself")
    prefix: Text | None = Field(None, description="how it begins")
    suffix: Text | None = Field(None, description="how it ends")
    contains: Text | None = Field(None, description="what stands in it")
    regex: Regex | None = Field(None, description="a regular expression (RE2) for the whole value")
    present: bool | None = Field(None, description="`true`: any value; `false`: absent")

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise Mistake("expected exactly one test", f"write one of {', '.join(type(self).model_fields)}")
        return self


TextTest = Annotated[
    Annotated[Text, Tag(WORD)] | Annotated[TextMatch, Tag(MAPPING)],
    shapes("a value or a test", 'write a value in quotes, or {prefix: "..."}'),
]


class Match(Model):
    """Which requests a route takes; all that is said must hold."""

    path: PathPattern | None = Field(
        None, description="`/exact`, or `/prefix/*` for the prefix and everything below it; `{name}` is one segment"
    )
    path_regex: Regex | None = Field(
        None, description="instead of `path`: a regular expression (RE2) for the whole path"
    )
    methods: Annotated[tuple[Method, ...], Unique] = Field((), description="all methods where empty")
    hosts: Annotated[tuple[Host, ...], Unique] = Field((), description="exact or `*.suffix`; all hosts where empty")
    headers: dict[HeaderName, TextTest] = Field(
        {}, description="tests of headers, by name; a text is the exact value; of several values one must pass"
    )
    query: dict[Text, TextTest] = Field(
        {}, description="tests of query parameters as they are sent, by name; a text is the exact value"
    )
    priority: Annotated[int, Between(-1000, 1000)] = Field(
        0, description="settles which of two equally specific routes wins: the greater"
    )

    @model_validator(mode="after")
    def _one_path(self) -> Self:
        if (self.path is None) == (self.path_regex is None):
            cure = "write `path: /prefix/*`" if self.path is None else "drop one of them"
            raise Mistake("expected exactly one of `path` and `path_regex`", cure)
        return self
