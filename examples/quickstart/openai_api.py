"""OpenAI's chat API as the stand-in speaks it: JSON or server-sent events, and OpenAI's own error shape."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from examples.quickstart.stand_in_model import CREATED, MODELS, Reply, reply
from service_kit.clock import Clock

Json = dict[str, object]


@dataclass(frozen=True)
class Ask:
    """A chat request that is in order."""

    id: str
    created: int
    model: str
    stream: bool
    include_usage: bool
    choices: int
    reply: Reply


class Refused(Exception):  # noqa: N818 - an answer of the API, not a fault of the program
    """A request that OpenAI would refuse, with its error object."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        self.response = JSONResponse({"error": error}, status_code=status)


def openai_routes(clock: Clock, pace: float) -> list[Route]:
    """The routes below /v1."""

    async def chat(request: Request) -> Response:
        try:
            ask = _ask(await _json(request), int(clock.now()))
        except Refused as refused:
            return refused.response
        if ask.stream:
            return StreamingResponse(_events(ask, pace), media_type="text/event-stream")
        return JSONResponse(_completion(ask))

    async def models(_request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(name) for name in MODELS]})

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse(_model(name)) if name in MODELS else _unknown_model(name).response

    return [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
    ]


async def _json(request: Request) -> Mapping[str, object]:
    try:
        body = await request.json()
    except ValueError:
        raise Refused(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise Refused(400, "The body of your request is not a JSON object.")
    return body


def _ask(body: Mapping[str, object], created: int) -> Ask:
    model = body.get("model")
    if not isinstance(model, str):
        raise Refused(400, "you must provide a model parameter", param="model")
    if model not in MODELS:
        raise _unknown_model(model)
    options = body.get("stream_options")
    return Ask(
        id=f"chatcmpl-{uuid4().hex}",
        created=created,
        model=model,
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        choices=_positive(body, "n") or 1,
        reply=reply(_texts(body), _positive(body, "max_completion_tokens") or _positive(body, "max_tokens")),
    )


def _texts(body: Mapping[str, object]) -> list[str]:
    """The text of each message; a message's content is text, or a list of parts."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "[] is too short - 'messages'", param="messages")
    if not all(isinstance(message, dict) and "role" in message for message in messages):
        raise Refused(400, "Each message needs a 'role'.", param="messages")
    return [_text(message.get("content")) for message in messages]


def _text(content: object) -> str:
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _positive(body: Mapping[str, object], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Refused(400, f"{value!r} is less than the minimum of 1 - {name!r}", param=name)
    return value


def _unknown_model(name: str) -> Refused:
    return Refused(404, f"The model `{name}` does not exist or you do not have access to it.", code="model_not_found")


def _model(name: str) -> Json:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "library"}


def _usage(ask: Ask) -> Json:
    prompt, completion = ask.reply.prompt_tokens, len(ask.reply.words) * ask.choices
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _finish(ask: Ask) -> str:
    return "length" if ask.reply.cut else "stop"


def _completion(ask: Ask) -> Json:
    message = {"role": "assistant", "content": ask.reply.text, "refusal": None}
    choices = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": _finish(ask)}
        for index in range(ask.choices)
    ]
    return {**_head(ask, "chat.completion"), "choices": choices, "usage": _usage(ask)}


async def _events(ask: Ask, pace: float) -> AsyncIterator[str]:
    """The stream: a role, the words, the reason to stop, the usage where asked for, and `[DONE]`."""
    yield _chunk(ask, {"role": "assistant", "content": "", "refusal": None})
    async for word in ask.reply.paced(pace):
        yield _chunk(ask, {"content": word})
    yield _chunk(ask, {}, finish=_finish(ask))
    if ask.include_usage:
        yield _event({**_head(ask, "chat.completion.chunk"), "choices": [], "usage": _usage(ask)})
    yield "data: [DONE]\n\n"


def _chunk(ask: Ask, delta: Mapping[str, object], *, finish: str | None = None) -> str:
    """One event a choice."""
    usage: Json = {"usage": None} if ask.include_usage else {}
    return "".join(
        _event({**_head(ask, "chat.completion.chunk"), "choices": [choice], **usage})
        for choice in (
            {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish} for index in range(ask.choices)
        )
    )


def _head(ask: Ask, kind: str) -> Json:
    return {
        "id": ask.id, "object": kind, "created": ask.created, "model": ask.model, "system_fingerprint": "fp_stand_in"
    }  # fmt: skip


def _event(data: Mapping[str, object]) -> str:
    return f"data: {json.dumps(data, separators=(',', ':'))}\n\n"
