"""The body of a refusal, in the shape that clients of the route's API know; elsewhere in the gateway's own."""

import json
from collections.abc import Mapping
from typing import Final

from authz_service.case import Denial
from service_kit.contract import DIALECT_OLLAMA, DIALECT_OPENAI

# As OpenAI's clients tell errors apart.
_TYPES: Final[Mapping[int, str]] = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"}
_OUR_FAULT: Final = "api_error"


def error_body(denial: Denial, request_id: str, dialect: str | None) -> str:
    """The error as JSON."""
    error: Mapping[str, str | None] = {"code": denial.code, "message": denial.message, "request_id": request_id}
    if dialect == DIALECT_OLLAMA:
        return json.dumps({"error": denial.message})
    if dialect == DIALECT_OPENAI:
        error = {**error, "type": _TYPES.get(denial.status, _OUR_FAULT), "param": None}
    return json.dumps({"error": error})
