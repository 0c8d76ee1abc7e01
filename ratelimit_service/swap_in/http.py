"""The HTTP side that envoyproxy/ratelimit has: `/json` decides a call written as JSON, `/healthcheck` is for probes."""

from collections.abc import Awaitable, Callable
from typing import Final

from envoy.service.ratelimit.v3 import rls_pb2
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ratelimit_service.swap_in.answer import OVER_LIMIT
from ratelimit_service.swap_in.server import Failure

LARGEST_BODY: Final = 1 << 20

Decide = Callable[[bytes], Awaitable[bytes | Failure]]


def http_app(decide: Decide) -> Starlette:
    """An app that answers both."""

    async def json(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return PlainTextResponse(f"the body has more than {LARGEST_BODY} bytes\n", 413)
        try:
            asked = Parse(body, rls_pb2.RateLimitRequest())
        except ParseError as error:
            return PlainTextResponse(f"not a RateLimitRequest: {error}\n", 400)
        return _response(await decide(asked.SerializeToString()))

    async def healthcheck(_request: Request) -> Response:
        return PlainTextResponse("OK")

    return Starlette(
        routes=[Route("/json", json, methods=["POST"]), Route("/healthcheck", healthcheck, methods=["GET"])]
    )


def _response(result: bytes | Failure) -> Response:
    if isinstance(result, Failure):
        return PlainTextResponse(f"{result.details}\n", 400)  # whatever the reason, as there
    answer = rls_pb2.RateLimitResponse.FromString(result)
    status = 429 if answer.overall_code == OVER_LIMIT else 200
    return Response(MessageToJson(answer, indent=None), status, media_type="application/json")


async def _body(request: Request) -> bytes | None:
    """The body, None where it is larger than any question."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)
