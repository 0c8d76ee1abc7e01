"""The endpoints over HTTP, behind Envoy: it says which listener was asked, and whence.

Each answer that is about one client alone is marked `no-store`. A request for a token is logged in one line, which
holds no credential and no token.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from authz_service.metrics import Metrics
from authz_service.oauth.asked import BASIC, LARGEST_BODY, read_request
from authz_service.oauth.documents import configuration
from authz_service.oauth.exchange import Issued, Issuing, exchange
from authz_service.oauth.refusal import UNAVAILABLE, Refused, bad_request
from authz_service.usage import KeyUses
from service_kit.api_keys import RandomBytes
from service_kit.clock import Clock
from service_kit.contract import CLIENT_ADDRESS_HEADER, LISTENER_HEADER, MISSING, REQUEST_ID_HEADER
from service_kit.gateway_tokens import DISCOVERY_PATH, KEYS_PATH, TOKEN_PATH
from service_kit.log import Logger

NO_STORE: Final = {"cache-control": "no-store", "pragma": "no-cache"}  # RFC 6749, 5.1
# Seconds; a key is published for longer before it signs.
PUBLIC: Final = {"cache-control": "public, max-age=300"}
_REALM: Final = 'realm="tollgate"'


@dataclass(frozen=True)
class Desk:
    """Who issues tokens: by what is known now, which `issuing` says."""

    issuing: Callable[[], Issuing | None]
    uses: KeyUses
    clock: Clock
    random_bytes: RandomBytes
    metrics: Metrics
    log: Logger

    async def token(self, request: Request) -> Response:
        """An access token for the client's API key."""
        issuing = self._asked(request)
        if issuing is None:
            return _not_found(request)
        try:
            issued = await self._issued(request, issuing)
        except Refused as refused:
            self._record_refused(request, refused)
            return _refusal(refused)
        self._record_issued(request, issued)
        return JSONResponse(_answer(issued), headers=NO_STORE)

    async def keys(self, request: Request) -> Response:
        """What verifies tokens, also those of a moment ago and of a moment to come."""
        issuing = self._asked(request)
        if issuing is None:
            return _not_found(request)
        if not issuing.signing.keys:
            return JSONResponse({"error": UNAVAILABLE}, 503, NO_STORE)
        return Response(issuing.signing.published, media_type="application/jwk-set+json", headers=PUBLIC)

    async def discovery(self, request: Request) -> Response:
        """Where the others are."""
        issuing = self._asked(request)
        if issuing is None:
            return _not_found(request)
        return JSONResponse(configuration(issuing.tokens.terms.issuer), headers=PUBLIC)

    def _asked(self, request: Request) -> Issuing | None:
        """By what to answer; None on a listener that has no such endpoints."""
        issuing = self.issuing()
        listeners = request.headers.getlist(LISTENER_HEADER)
        if issuing is None or len(listeners) != 1 or listeners[0] not in issuing.tokens.listeners:
            return None
        return issuing

    async def _issued(self, request: Request, issuing: Issuing) -> Issued:
        asked = read_request(
            query=request.url.query,
            content_type=request.headers.getlist("content-type"),
            authorization=[value for name, value in request.headers.raw if name == b"authorization"],
            body=await _body(request),
        )
        now = self.clock.now()
        return exchange(asked, issuing, address=_client(request), now=now, random_bytes=self.random_bytes)

    def _record_issued(self, request: Request, issued: Issued) -> None:
        self.uses.used(issued.key.id)
        self.metrics.asked_for_token("ok")
        self.log.info(
            "token",
            outcome="issued",
            key_id=issued.key.id,
            consumer=issued.key.consumer,
            jti=issued.minted.id,
            would_deny=["address_not_allowed"] if issued.elsewhere else [],
            **_log_fields(request),
        )

    def _record_refused(self, request: Request, refused: Refused) -> None:
        self.metrics.asked_for_token(refused.code)
        self.log.info("token", outcome="refused", code=refused.code, reason=refused.reason, **_log_fields(request))


def oauth_app(desk: Desk) -> Starlette:
    """The ASGI app; what is not allowed or not there is answered in the gateway's own shape of errors."""
    return Starlette(
        routes=[
            Route(TOKEN_PATH, desk.token, methods=["POST"]),
            Route(KEYS_PATH, desk.keys, methods=["GET"]),
            Route(DISCOVERY_PATH, desk.discovery, methods=["GET"]),
        ],
        exception_handlers={404: _no_such, 405: _other_method},
    )


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            raise bad_request(f"The form is larger than {LARGEST_BODY} bytes.")
    return body


def _client(request: Request) -> str:
    values = request.headers.getlist(CLIENT_ADDRESS_HEADER)
    return values[0] if len(values) == 1 else ""


def _answer(issued: Issued) -> dict[str, object]:
    answer: dict[str, object] = {
        "access_token": issued.minted.token,
        "token_type": "Bearer",
        "expires_in": issued.minted.lifetime,
    }
    return {**answer, "scope": " ".join(issued.scopes)} if issued.scopes else answer


def _refusal(refused: Refused) -> Response:
    headers = dict(NO_STORE)
    if refused.status == 401:  # noqa: PLR2004 - Unauthorized: RFC 9110, 15.5.2 asks for a challenge
        headers["www-authenticate"] = f"{refused.scheme or BASIC} {_REALM}"
    return JSONResponse({"error": refused.code, "error_description": refused.description}, refused.status, headers)


def _not_found(request: Request) -> Response:
    return _error(request, 404, "route_not_found", "No route matches this path, method and host.")


async def _no_such(request: Request, _cause: Exception) -> Response:
    return _not_found(request)


async def _other_method(request: Request, error: Exception) -> Response:
    found = _error(request, 405, "method_not_allowed", "This endpoint takes another method.")
    found.headers.update(getattr(error, "headers", None) or {})
    return found


def _error(request: Request, status: int, code: str, message: str) -> Response:
    error = {"code": code, "message": message, "request_id": request.headers.get(REQUEST_ID_HEADER, MISSING)}
    return JSONResponse({"error": error}, status, NO_STORE)


def _log_fields(request: Request) -> dict[str, str]:
    return {"request_id": request.headers.get(REQUEST_ID_HEADER, MISSING), "client": _client(request) or MISSING}
