"""The five agents of the quickstart: one program, which plays the agent that it is asked for."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

# What each agent answers to an input; a real one would ask a model.
ANSWERS = {
    "email": "Draft saved, with the subject line {input!r}. Reply `send` to send it.",
    "rag": "2 passages match {input!r}: handbook.md#onboarding and handbook.md#access.",
    "scraper": "Fetched {input!r}: 1 page, 14 links, robots.txt allows it.",
    "support": "Ticket 4711 is open for {input!r}; the median answer takes 12 minutes.",
    "aiops": "No alert matches {input!r}; the error rate of the last hour is 0.02 %.",
}
CHATTY = "support"


def agent(name: str) -> Starlette:
    """The agent of this name; `support` also chats over a WebSocket."""

    async def health(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "agent": name})

    async def run(request: Request) -> JSONResponse:
        asked = await _input(request)
        if asked is None:
            return JSONResponse({"detail": 'send JSON such as {"input": "..."}'}, status_code=422)
        return JSONResponse({"agent": name, "caller": _caller(request), "answer": ANSWERS[name].format(input=asked)})

    routes: list[BaseRoute] = [Route("/health", health), Route("/run", run, methods=["POST"])]
    if name == CHATTY:
        routes.append(WebSocketRoute("/ws", echo))
    return Starlette(routes=routes)


async def echo(socket: WebSocket) -> None:
    """Sends every text back, until the other side has had enough."""
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


async def _input(request: Request) -> str | None:
    try:
        body = await request.json()
    except ValueError:
        return None
    asked = body.get("input") if isinstance(body, dict) else None
    return asked if isinstance(asked, str) else None


def _caller(request: Request) -> dict[str, str]:
    """Who calls, as the gateway says: only it can set these headers."""
    parts = ("subject", "tenant", "plan")
    return {part: request.headers.get(f"x-tollgate-{part}", "-") for part in parts}
