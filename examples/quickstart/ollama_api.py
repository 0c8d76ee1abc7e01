"""Ollama's own API as the stand-in speaks it: newline-delimited JSON unless the client says `stream: false`."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from examples.quickstart.stand_in_model import CREATED, MODELS, Model, Reply, model, reply, vector
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
            return await _answer(_ask(await _json(request), texts), place, clock, pace)

        return generate

    async def root(_request: Request) -> Response:
        return PlainTextResponse("Ollama is running")

    async def version(_request: Request) -> Response:
        return JSONResponse({"version": VERSION})

    async def tags(_request: Request) -> Response:
        return JSONResponse({"models": [_listed(item) for item in MODELS]})

    async def show(request: Request) -> Response:
        return JSONResponse(_shown(_named(await _json(request))))

    async def embed(request: Request) -> Response:
        return JSONResponse(_embeddings(await _json(request), clock))

    return [
        Route("/", root),
        Route("/api/version", version),
        Route("/api/tags", tags),
        Route("/api/chat", endpoint(_messages, _as_message), methods=["POST"]),
        Route("/api/generate", endpoint(_prompt, _as_response), methods=["POST"]),
        Route("/api/embed", embed, methods=["POST"]),
        Route("/api/show", show, methods=["POST"]),
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
    options = body.get("options")
    limit = options.get("num_predict") if isinstance(options, dict) else None
    return Ask(
        model=_named(body).name,
        stream=body.get("stream") is not False,
        texts=tuple(texts(body)),
        limit=limit if isinstance(limit, int) and limit > 0 else None,  # -1 is endless
    )


def _named(body: Mapping[str, object]) -> Model:
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise Refused(400, "model is required")
    found = model(name)
    if found is None:
        raise Refused(404, f"model '{name}' not found")
    return found


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


def _embeddings(body: Mapping[str, object], clock: Clock) -> Json:
    found, given, started = _named(body), body.get("input"), clock.monotonic()
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Refused(400, "invalid input type")
    return {
        "model": found.name,
        "embeddings": [vector(text) for text in texts],
        "total_duration": max(1, int((clock.monotonic() - started) * NANOSECONDS)),
        "load_duration": 1,
        "prompt_eval_count": sum(len(text.split()) for text in texts),
    }


def _listed(found: Model) -> Json:
    digest = found.name.encode().hex().ljust(64, "0")[:64]
    return {
        "name": found.name, "model": found.name, "modified_at": _rfc3339(CREATED), "size": SIZE, "digest": digest,
        "details": _details(found),
    }  # fmt: skip


def _shown(found: Model) -> Json:
    return {
        "modified_at": _rfc3339(CREATED),
        "details": _details(found),
        "model_info": {"general.architecture": found.family, f"{found.family}.context_length": found.context},
        "capabilities": ["embedding"] if found.embeds else ["completion"],
    }


def _details(found: Model) -> Json:
    return {
        "parent_model": "", "format": "gguf", "family": found.family, "families": [found.family],
        "parameter_size": found.parameters, "quantization_level": "Q4_K_M",
    }  # fmt: skip


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
