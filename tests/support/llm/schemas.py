"""A value that fits a JSON schema, the same every time, for answers whose format a request prescribes."""

from collections.abc import Mapping
from typing import Any

LEAVES: Mapping[str, Any] = {"string": "word", "integer": 1, "number": 1.5, "boolean": True, "null": None}


def fitting(schema: Mapping[str, Any]) -> Any:
    """Fits type, properties, items, enum, const and anyOf; other words of JSON Schema are not looked at."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return fitting(schema["anyOf"][0])
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: fitting(inner) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [fitting(schema.get("items", {"type": "string"}))]
    return LEAVES[kind]
