"""`GET /v1/usage`, behind Envoy: a consumer reads what was used in its own name, and nothing else.

Who asks is what the gateway says in its own headers, of which clients can bring none. The path is the configuration's.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service_kit.clock import Clock
from service_kit.contract import MISSING, REQUEST_ID_HEADER, identity_header
from service_kit.log import Logger
from usage_ledger.errors import LedgerUnavailable
from usage_ledger.reader import Reader
from usage_ledger.reports import BadQuestion, Line, Question

CONSUMER_HEADER: Final = identity_header("consumer")
NO_STORE: Final = {"cache-control": "no-store"}
# What a consumer may have its usage told apart by: what names others is none of it.
PARTS: Final = ("day", "hour", "model", "route", "usage", "key_id")
PARAMETERS: Final = frozenset({"by", "from", "to"})
NANO: Final = 1_000_000_000
# Of what is asked for: who calls often keeps others from being answered.
LONGEST_TIME: Final = timedelta(days=400)


class OwnUsage:
    """Answers consumers."""

    def __init__(self, reader: Reader, clock: Clock, log: Logger) -> None:
        self._reader = reader
        self._clock = clock
        self._log = log

    async def usage(self, request: Request) -> Response:
        """The caller's usage of this month, or of the days from `from` up to `to`, told apart `by` some parts."""
        consumer = _consumer(request)
        if consumer is None:
            return _error(request, 403, "no_consumer", "Usage is kept by consumer, and this credential names none.")
        try:
            asked = _question(request, consumer, self._clock.now())
            lines = await self._reader.report(asked)
        except BadQuestion as error:
            return _error(request, 400, "invalid_request", f"{str(error)[:1].upper()}{str(error)[1:]}.")
        except LedgerUnavailable as error:
            self._log.warning("usage not told", reason=str(error))
            return _error(request, 503, "not_ready", "The ledger cannot be read now; try again.")
        return JSONResponse(_answer(consumer, asked, lines), headers=NO_STORE)


def usage_app(own: OwnUsage) -> Starlette:
    """The ASGI app: every path is the one that the configuration names."""
    return Starlette(routes=[Route("/{path:path}", own.usage, methods=["GET"])], exception_handlers={405: _other})


def _consumer(request: Request) -> str | None:
    values = request.headers.getlist(CONSUMER_HEADER)
    return values[0] if len(values) == 1 and values[0] not in ("", MISSING) else None


def _question(request: Request, consumer: str, now: float) -> Question:
    parameters = request.query_params
    if unknown := sorted(set(parameters) - PARAMETERS):
        raise BadQuestion(f"there is no parameter {unknown[0]!r}: use {', '.join(sorted(PARAMETERS))}")
    by = tuple(part for part in parameters.get("by", "").split(",") if part)
    if unknown := [part for part in by if part not in PARTS]:
        raise BadQuestion(f"by {unknown[0]!r} nothing is told apart: use {', '.join(PARTS)}")
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begin = _day(parameters.get("from")) or today.replace(day=1)
    end = _day(parameters.get("to")) or today + timedelta(days=1)
    if not begin < end or end - begin > LONGEST_TIME:
        raise BadQuestion(f"the time must begin before it ends, and be no longer than {LONGEST_TIME.days} days")
    return Question(by, int(begin.timestamp()), int(end.timestamp()), {"consumer": consumer})


def _day(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise BadQuestion("write days as 2030-12-31") from None


def _answer(consumer: str, asked: Question, lines: tuple[Line, ...]) -> Mapping[str, Any]:  # Any: JSON
    return {
        "consumer": consumer,
        "from": moment(asked.begin),
        "to": moment(asked.end or 0),
        "by": list(asked.by),
        "usage": [_line(asked.by, line) for line in lines],
    }


def _line(by: tuple[str, ...], line: Line) -> Mapping[str, Any]:
    parts = {
        name: moment(value) if isinstance(value, int) else value for name, value in zip(by, line.parts, strict=True)
    }
    sums = {name: value for name, value in line.sums.items() if name != "amount"}
    return {**parts, **sums, "usd": f"{line.sums['amount'] // NANO}.{line.sums['amount'] % NANO:09}"}


def moment(at: int) -> str:
    """UTC, as RFC 3339 has it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _other(request: Request, _cause: Exception) -> Response:
    found = _error(request, 405, "method_not_allowed", "Usage is read with GET.")
    found.headers["allow"] = "GET, HEAD"
    return found


def _error(request: Request, status: int, code: str, message: str) -> Response:
    error = {"code": code, "message": message, "request_id": request.headers.get(REQUEST_ID_HEADER, MISSING)}
    return JSONResponse({"error": error}, status, NO_STORE)
