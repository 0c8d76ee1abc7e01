"""OpenAI's errors: `{"error": {"message", "type", "param", "code"}}`, and the gateway's id of the request beside."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from llm_providers.answers import Failure
from llm_providers.json_text import json_bytes

KINDS: Final[Mapping[int, str]] = {
    HTTPStatus.BAD_REQUEST: "invalid_request_error",
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.PAYMENT_REQUIRED: "insufficient_quota",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}
FIRST_SERVER_ERROR: Final = 500


def error_body(failure: Failure) -> bytes:
    """The body of an error, and the data of an event that ends a stream."""
    error = {
        "message": failure.message,
        "type": failure.kind or _kind(failure.status),
        "param": failure.param or None,
        "code": failure.code or None,
        "request_id": failure.request_id or None,
    }
    return json_bytes({"error": error})


def stated_failure(answer: Mapping[str, object], status: int) -> Failure | None:
    """The error that stands in an answer or in an event, if one does."""
    error = answer.get("error")
    if isinstance(error, dict):
        return Failure(
            _word(error, "message") or "the upstream failed",
            status,
            kind=_word(error, "type"),
            param=_word(error, "param"),
            code=_word(error, "code"),
        )
    return Failure(error, status) if isinstance(error, str) and error else None


def _word(error: Mapping[str, object], name: str) -> str:
    value = error.get(name)
    return value if isinstance(value, str) else ""


def _kind(status: int) -> str:
    return KINDS.get(status, "invalid_request_error" if status < FIRST_SERVER_ERROR else "api_error")
