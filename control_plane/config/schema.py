"""The published JSON Schema (draft 2020-12) of the configuration, by which editors complete and check a file.

It describes the file as it is written: the small languages are strings with patterns, and text may hold `${NAME}`. The
model itself stays the judge: what relates two keys, or needs the environment, only it can decide.
"""

from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from control_plane.config.model import Config

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = r"|\$\{"
# What an unquoted reference may stand for; to a tool that does not fill it in, it is text.
NO_TEXT = ("boolean", "integer", "number")


def json_schema() -> dict[str, Any]:
    """The schema of a configuration file."""
    schema = Config.model_json_schema(schema_generator=_Written)
    return {"$schema": DIALECT, **_with_references(schema), "title": "Tollgate configuration"}


class _Written(GenerateJsonSchema):
    """The schema of what admins write, not of what it becomes."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - pydantic's signature
        """A title that repeats the key tells an editor nothing."""
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """A key that may be absent; null itself is refused when the file is read."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """The default as it would be written; empty ones say no more than the absent key."""
        written = self.generate_inner(schema["schema"])
        default = self.get_default_value(schema)
        if default in (None, (), {}) or isinstance(default, BaseModel | SecretStr):
            return written
        serialize = schema["schema"].get("serialization", {}).get("function", lambda value: value)
        return {**written, "default": self.encode_default(serialize(default))}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """A mapping by name, which takes no other keys than names."""
        return {**super().dict_schema(schema), "additionalProperties": False}


def _with_references(schema: Any) -> Any:
    """The schema in which text with a pattern, a number or a truth value may also refer to the environment."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {key: _with_references(value) for key, value in schema.items()}
    if parts.get("type") in NO_TEXT:
        said = {key: parts.pop(key) for key in ("description", "default") if key in parts}
        return {**said, "anyOf": [parts, {"type": "string", "pattern": REFERENCE.removeprefix("|")}]}
    pattern = parts.get("pattern")
    return {**parts, "pattern": pattern + REFERENCE} if isinstance(pattern, str) else parts
