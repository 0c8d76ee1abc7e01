"""Structured logs: one JSON object a line on stderr, with time, level, process and event; never a credential."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

# A field with one of these words in its name is never written, whoever passed it.
SECRET_WORDS = ("token", "secret", "password", "authorization", "api_key", "private_key", "cookie")
REDACTED = "[redacted]"

Logger = FilteringBoundLogger


def configure_logs(process: str, *, level: str = "info", stream: TextIO = sys.stderr) -> Logger:
    """The logger of this process; also the one place where logging is configured."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact_secrets,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    logger: Logger = structlog.get_logger(process=process)
    return logger


def redact_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The event with the values of secret-looking fields replaced."""
    return {key: REDACTED if _is_secret(key) else value for key, value in event.items()}


def _is_secret(key: str) -> bool:
    lowered = key.lower()
    return any(word in lowered for word in SECRET_WORDS)
