"""The operations over HTTP: GET /status and /history, POST /rollback. All want the admin token."""

import json
import re
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from control_plane.admin.answers import guarded, mistake
from control_plane.admin.authors import by_request
from control_plane.admin.rollback import rolled_back
from control_plane.admin.rpc import DEFAULT_LIMIT
from control_plane.audit import AuditUnavailable, Trail
from control_plane.history.entries import CannotRollBack, NoSuchEntry
from control_plane.operations.reports import Operations, as_json

ROLLBACK_CURE: Final = 'send {"number": N} for an entry of /history, or {"release": true} for what the file says'
LARGEST_NUMBER: Final = 2**31
NUMBER: Final = re.compile("[0-9]{1,10}")
# Bytes; what is asked for has twenty.
LARGEST_BODY: Final = 4_096


def operations_routes(operations: Operations, token: Callable[[], str], trail: Trail) -> tuple[Route, ...]:
    """The routes; `token` is asked at each request, since it may change with the configuration."""

    async def status(_request: Request) -> Response:
        return JSONResponse(as_json(operations.status()))

    async def history(request: Request) -> Response:
        limit = request.query_params.get("limit", str(DEFAULT_LIMIT))
        if not NUMBER.fullmatch(limit) or not 0 < int(limit) < LARGEST_NUMBER:
            return mistake(400, "invalid_request", "limit: it is no number of entries")
        return JSONResponse(as_json(await operations.history(int(limit))))

    async def rollback(request: Request) -> Response:
        try:
            number = _entry(await body_of(request, LARGEST_BODY))
        except (ValueError, RecursionError):
            return mistake(400, "invalid_request", ROLLBACK_CURE)
        try:
            return JSONResponse(as_json(await rolled_back(operations, trail, number, by_request(request))))
        except NoSuchEntry as error:
            return mistake(404, "no_such_entry", str(error))
        except CannotRollBack as error:
            return mistake(409, "cannot_roll_back", str(error))
        except AuditUnavailable as error:
            return mistake(503, "audit_unavailable", str(error))

    return (
        Route("/status", guarded(status, token)),
        Route("/history", guarded(history, token)),
        Route("/rollback", guarded(rollback, token), methods=["POST"]),
    )


async def body_of(request: Request, largest: int) -> bytes:
    """The body of the request; ValueError where it is larger than any that asks for something."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > largest:
            raise ValueError
    return body


def _entry(body: bytes) -> int | None:
    """The number that is asked for, None to release; ValueError where it is neither."""
    asked = json.loads(body)
    if asked == {"release": True}:
        return None
    match asked:
        case {"number": int(number)} if len(asked) == 1 and number is not True and 0 < number < LARGEST_NUMBER:
            return number
    raise ValueError
