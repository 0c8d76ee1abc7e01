"""Ollama's own API as the stand-in speaks it: newline-delimited JSON unless the client says `stream: false`."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from examples.quickstart.stand_in_model import CREATED, MODELS, Reply, reply
from service_kit.clock import Clock

VERSION = "0.12.0"
NANOSECONDS = 10**9
SIZE = 4_920_753_328
Json = dict[str, object]
# Puts a piece of text where the endpoint has it: `message` of /api/chat, `response` of /api/generate.
Place = Callable[[str], Json]


@dataclass(frozen=True)
class Ask:
    """A request that is in order."""

    model: str
    stream: bool
    texts: tuple[str, ...]
    limit: int | None

    @property
    def reply(self) -> Reply:
        return reply(self.texts, self.limit)


class Refused(Exception):  # noqa: N818 - an answer of the API, not a fault of the program
    """A request that Ollama would refuse."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.response = JSONResponse({"error": message}, status_code=status)


def ollama_routes(clock: Clock, pace: float) -> list[Route]:
    """The routes below /api, and the root that says it is running."""

    def endpoint(texts: Callable[[Mapping[str, object]], list[str]], place: Place) -> Callable[[Request], object]:
        async def generate(request: Request) -> Response:
            try:
                ask = _ask(await _json(request), texts)
            except Refused as refused:
                return refused.response
            return await _answer(ask, place, clock, pace)

        return generate

    async def root(_request: Request) -> Response:
        return PlainTextResponse("Ollama is running")

    async def version(_request: Request) -> Response:
        return JSONResponse({"version": VERSION})

    async def tags(_request: Request) -> Response:
        return JSONResponse({"models": [_model(name) for name in MODELS]})

    return [
        Route("/", root),
        Route("/api/version", version),
        Route("/api/tags", tags),
        Route("/api/chat", endpoint(_messages, _as_message), methods=["POST"]),
        Route("/api/generate", endpoint(_prompt, _as_response), methods=["POST"]),
    ]


async def _answer(ask: Ask, place: Place, clock: Clock, pace: float) -> Response:
    if not ask.texts:  # Ollama loads the model and says so
        return JSONResponse({**_head(ask, clock), **place(""), "done": True, "done_reason": "load"})
    if ask.stream:
        return StreamingResponse(_lines(ask, place, clock, pace), media_type="application/x-ndjson")
    return JSONResponse(_last(ask, place(ask.reply.text), clock, clock.monotonic()))


async def _json(request: Request) -> Mapping[str, object]:
    """The body, whatever its content type says: Ollama does not look at it."""
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise Refused(400, str(error)) from None
    if not isinstance(body, dict):
        raise Refused(400, "json: cannot unmarshal into Go value of type api.ChatRequest")
    return body


def _ask(body: Mapping[str, object], texts: Callable[[Mapping[str, object]], list[str]]) -> Ask:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Refused(400, "model is required")
    if model not in MODELS:
        raise Refused(404, f"model '{model}' not found")
    options = body.get("options")
    limit = options.get("num_predict") if isinstance(options, dict) else None
    return Ask(
        model=model,
        stream=body.get("stream") is not False,
        texts=tuple(texts(body)),
        limit=limit if isinstance(limit, int) and limit > 0 else None,  # -1 is endless
    )


def _messages(body: Mapping[str, object]) -> list[str]:
    messages = body.get("messages") or []
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise Refused(400, "json: cannot unmarshal messages into Go struct field ChatRequest.messages")
    return [str(message.get("content") or "") for message in messages]


def _prompt(body: Mapping[str, object]) -> list[str]:
    texts = (body.get("system"), body.get("prompt"))
    return [text for text in texts if isinstance(text, str) and text]


def _as_message(text: str) -> Json:
    return {"message": {"role": "assistant", "content": text}}


def _as_response(text: str) -> Json:
    return {"response": text}


async def _lines(ask: Ask, place: Place, clock: Clock, pace: float) -> AsyncIterator[str]:
    started = clock.monotonic()
    async for word in ask.reply.paced(pace):
        yield _line({**_head(ask, clock), **place(word), "done": False})
    yield _line(_last(ask, place(""), clock, started))


def _last(ask: Ask, content: Json, clock: Clock, started: float) -> Json:
    """The object that ends an answer, with its counts and its times in nanoseconds."""
    spent = max(1, int((clock.monotonic() - started) * NANOSECONDS))
    return {
        **_head(ask, clock),
        **content,
        "done": True,
        "done_reason": "length" if ask.reply.cut else "stop",
        "total_duration": spent,
        "load_duration": 1,
        "prompt_eval_count": ask.reply.prompt_tokens,
        "prompt_eval_duration": 1,
        "eval_count": len(ask.reply.words),
        "eval_duration": spent,
    }


def _head(ask: Ask, clock: Clock) -> Json:
    return {"model": ask.model, "created_at": _rfc3339(clock.now())}


def _line(data: Json) -> str:
    return json.dumps(data, separators=(",", ":")) + "\n"


def _model(name: str) -> Json:
    family, _, size = name.partition(":")
    details = {
        "parent_model": "", "format": "gguf", "family": family, "families": [family],
        "parameter_size": size.upper(), "quantization_level": "Q4_K_M",
    }  # fmt: skip
    digest = name.encode().hex().ljust(64, "0")[:64]
    return {
        "name": name, "model": name, "modified_at": _rfc3339(CREATED), "size": SIZE, "digest": digest,
        "details": details,
    }  # fmt: skip


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
