"""Values of JSON as they are written in YAML."""

from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler, GetPydanticSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from control_plane.config.values.base import Mistake

# Above it, readers that know numbers as doubles disagree (RFC 8259, section 6).
LARGEST_INTEGER = 2**53 - 1


def json_value(value: Any) -> Any:
    """The value with lists and mappings inside; there is no null, because YAML's empty value is refused."""
    if isinstance(value, dict):
        return {key: json_value(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [json_value(item) for item in value]
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise Mistake("cannot be told exactly in JSON", "write it in quotes", value=str(value))
    return value


def _schema(_schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    return {"description": "any JSON value"}


Json = Annotated[
    Any,
    GetPydanticSchema(
        lambda _type, _handler: core_schema.no_info_plain_validator_function(
            json_value, metadata={"pydantic_js_functions": [_schema]}
        )
    ),
]
