"""What both APIs are written with: JSON, events, and requests' fields that may be missing or wrong."""

import json
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def compact(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def line(data: Mapping[str, Any]) -> bytes:
    """Of newline-delimited JSON."""
    return compact(data) + b"\n"


def event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + compact(data) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def text_of(content: Any) -> str:
    """The text of a message's content, which is text, or a list of parts."""
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""


def images_in(content: Any) -> int:
    return sum(part.get("type") == "image_url" for part in content) if isinstance(content, list) else 0


def stops_of(stop: Any) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop or ())
