"""The login of the quickstart: checks a password and issues a token that the gateway's configuration accepts."""

from collections.abc import Mapping
from hmac import compare_digest

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from service_kit.clock import Clock, SystemClock

ISSUER = "tollgate-quickstart"
AUDIENCE = "gateway"
LIFETIME = 3600

PASSWORDS = {"alice": "wonderland", "bob": "builder"}
CLAIMS: Mapping[str, Mapping[str, object]] = {
    "alice": {"plan": "pro", "tenant": "acme", "scope": "email.send rag.read", "roles": ["operator"]},
    "bob": {"plan": "free", "tenant": "bobco", "scope": "rag.read", "roles": []},
}


def accounts(secret: str, clock: Clock | None = None) -> Starlette:
    """The accounts service, signing with this secret."""
    time = clock or SystemClock()

    async def health(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def login(request: Request) -> JSONResponse:
        user = await _user(request)
        if user is None:
            error = {"code": "invalid_credentials", "message": "no such user and password"}
            return JSONResponse({"error": error}, status_code=401)
        answer = {"access_token": token(user, secret, time.now()), "token_type": "bearer", "expires_in": LIFETIME}
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    return Starlette(routes=[Route("/auth/health", health), Route("/auth/login", login, methods=["POST"])])


def token(user: str, secret: str, now: float) -> str:
    """A token of this user, valid for an hour."""
    issued = int(now)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "iat": issued, "exp": issued + LIFETIME}
    return jwt.encode({**claims, **CLAIMS[user]}, secret, algorithm="HS256")


async def _user(request: Request) -> str | None:
    """The user whose name and password the request carries."""
    try:
        body = await request.json()
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    name, password = body.get("username"), body.get("password")
    if not isinstance(name, str) or not isinstance(password, str):
        return None
    known = compare_digest(PASSWORDS.get(name, "").encode(), password.encode())
    return name if known and name in PASSWORDS else None
