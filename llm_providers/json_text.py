"""JSON in and out of bytes: read strictly, written compactly, and one kind of error for everything that is wrong."""

import json

from service_kit.strict_json import strict_object


def read_object(text: bytes | str) -> dict[str, object]:
    """The object that the text holds; ValueError for anything else, a repeated member and bad UTF-8 among it."""
    return strict_object(text.decode() if isinstance(text, bytes) else text)


def json_bytes(value: object) -> bytes:
    """Compact JSON; ValueError for what JSON cannot say (infinity, a nesting beyond the stack)."""
    text = json_string(value)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair is a JSON string, but only when escaped
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def json_string(value: object) -> str:
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
