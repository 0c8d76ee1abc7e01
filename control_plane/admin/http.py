"""The operations over HTTP: GET /status and /history, POST /rollback. All want the admin token."""

import json
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from control_plane.admin.answers import guarded, mistake
from control_plane.admin.rpc import DEFAULT_LIMIT
from control_plane.operations import CannotRollBack, HistoryReport, NoSuchEntry, Operations, as_json

ROLLBACK_CURE: Final = 'send {"number": N} for an entry of /history, or {"release": true} for what the file says'
LARGEST_NUMBER: Final = 2**31


def operations_routes(operations: Operations, token: Callable[[], str]) -> tuple[Route, ...]:
    """The routes; `token` is asked at each request, since it may change with the configuration."""

    async def status(_request: Request) -> Response:
        return JSONResponse(as_json(operations.status()))

    async def history(request: Request) -> Response:
        limit = request.query_params.get("limit", str(DEFAULT_LIMIT))
        if not limit.isascii() or not limit.isdigit() or not 0 < int(limit) < LARGEST_NUMBER:
            return mistake(400, "invalid_request", f"limit: {limit!r} is no number of entries")
        return JSONResponse(as_json(HistoryReport(await operations.history(int(limit)))))

    async def rollback(request: Request) -> Response:
        try:
            number = _entry(await request.body())
        except ValueError:
            return mistake(400, "invalid_request", ROLLBACK_CURE)
        try:
            return JSONResponse(as_json(await operations.rollback(number)))
        except NoSuchEntry as error:
            return mistake(404, "no_such_entry", str(error))
        except CannotRollBack as error:
            return mistake(409, "cannot_roll_back", str(error))

    return (
        Route("/status", guarded(status, token)),
        Route("/history", guarded(history, token)),
        Route("/rollback", guarded(rollback, token), methods=["POST"]),
    )


def _entry(body: bytes) -> int | None:
    """The number that is asked for, None to release; ValueError where it is neither."""
    asked = json.loads(body)
    if asked == {"release": True}:
        return None
    match asked:
        case {"number": int(number)} if len(asked) == 1 and number is not True and 0 < number < LARGEST_NUMBER:
            return number
    raise ValueError
