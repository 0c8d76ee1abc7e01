"""What the observability port answers to who may not ask, and to what it cannot do."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from control_plane.admin.token import presents

Handler = Callable[[Request], Awaitable[Response]]


def guarded(handler: Handler, token: Callable[[], str]) -> Handler:
    """The handler, for callers with the admin token; 401 for others."""

    async def checked(request: Request) -> Response:
        if presents(request.headers.get("authorization", ""), token()):
            return await handler(request)
        return mistake(
            401,
            "unauthorized",
            "send `Authorization: Bearer TOKEN` with the admin token",
            {"www-authenticate": 'Bearer realm="tollgate admin"'},
        )

    return checked


def mistake(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error in the one shape that errors have here."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)
