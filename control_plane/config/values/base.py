"""What a small language is: a parser from text to what the compiler needs, and the mistakes it reports.

A parser raises Mistake, whose words are shown to the admin as they stand. Each language also knows how its values are
written, so that defaults in the published schema read as an admin would write them.
"""

from collections.abc import Callable
from typing import TypeVar

from pydantic import GetJsonSchemaHandler, GetPydanticSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from control_plane.config.errors import Path

T = TypeVar("T")


class Mistake(ValueError):  # noqa: N818 - the word admins read: the model reports mistakes
    """What is wrong with a value, and the cure; `at` leads from the reported place to the very part that is wrong.

    `value` is what was written, for values that are no secret: it is put in front of the message.
    """

    def __init__(self, message: str, cure: str, *, value: str | None = None, at: Path = ()) -> None:
        self.message = message
        self.cure = cure
        self.value = value
        self.at = at
        super().__init__(message if value is None else f"{value!r} {message}")


class NotText(Mistake):
    """A number, list or the like where one of these languages is expected."""

    def __init__(self, expected: str, parse: Callable[[str], object]) -> None:
        self.parse = parse
        super().__init__(f"expected {expected}", "write it as text")


def scalar(
    parse: Callable[[str], T], *, pattern: str, description: str, written: Callable[[T], str] = str
) -> GetPydanticSchema:
    """A strict string that `parse` turns into its value; the JSON Schema keeps the string, its pattern and defaults."""

    def json_schema(_schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": pattern, "description": description}

    def parsed(value: object) -> T:
        if not isinstance(value, str):
            raise NotText(description, parse)
        return parse(value)

    return GetPydanticSchema(
        lambda _type, _handler: core_schema.no_info_plain_validator_function(
            parsed,
            metadata={"pydantic_js_functions": [json_schema]},
            serialization=core_schema.plain_serializer_function_ser_schema(written),
        )
    )
