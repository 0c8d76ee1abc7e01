"""OpenAI's API as the stand-in speaks it: JSON or server-sent events, and OpenAI's own error shape."""

import base64
import json
from array import array
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from examples.quickstart.stand_in_model import CREATED, MODELS, Reply, model, reply, vector
from service_kit.clock import Clock

Json = dict[str, object]


@dataclass(frozen=True)
class Form:
    """What one endpoint asks with, and how it puts a piece of text into an answer and into an event of a stream."""

    answer: str
    event: str
    texts: Callable[[Mapping[str, object]], list[str]]
    whole: Callable[[str], Json]
    piece: Callable[[str], Json]
    begins: Json | None = None


@dataclass(frozen=True)
class Ask:
    """A request for an answer that is in order."""

    form: Form
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

    def says(form: Form) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            ask = _ask(await _json(request), form, int(clock.now()))
            if ask.stream:
                return StreamingResponse(_events(ask, pace), media_type="text/event-stream")
            return JSONResponse(_completion(ask))

        return answer

    async def embeddings(request: Request) -> Response:
        return JSONResponse(_embeddings(await _json(request)))

    async def models(_request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_card(item.name) for item in MODELS]})

    async def one_model(request: Request) -> Response:
        name = request.path_params["name"]
        if model(name) is None:
            raise _unknown_model(name)
        return JSONResponse(_card(name))

    return [
        Route("/v1/chat/completions", says(CHAT), methods=["POST"]),
        Route("/v1/completions", says(COMPLETIONS), methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", one_model),
    ]


async def _json(request: Request) -> Mapping[str, object]:
    try:
        body = await request.json()
    except ValueError:
        raise Refused(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise Refused(400, "The body of your request is not a JSON object.")
    return body


def _ask(body: Mapping[str, object], form: Form, created: int) -> Ask:
    options = body.get("stream_options")
    return Ask(
        form=form,
        id=f"cmpl-{uuid4().hex}",
        created=created,
        model=_named(body),
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        choices=_positive(body, "n") or 1,
        reply=reply(form.texts(body), _positive(body, "max_completion_tokens") or _positive(body, "max_tokens")),
    )


def _named(body: Mapping[str, object]) -> str:
    name = body.get("model")
    if not isinstance(name, str):
        raise Refused(400, "you must provide a model parameter", param="model")
    if model(name) is None:
        raise _unknown_model(name)
    return name


def _messages(body: Mapping[str, object]) -> list[str]:
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


def _prompt(body: Mapping[str, object]) -> list[str]:
    prompt = body.get("prompt")
    if not isinstance(prompt, str):
        raise Refused(400, "The prompt must be a text.", param="prompt")
    return [prompt]


def _positive(body: Mapping[str, object], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Refused(400, f"{value!r} is less than the minimum of 1 - {name!r}", param=name)
    return value


def _unknown_model(name: str) -> Refused:
    return Refused(404, f"The model `{name}` does not exist or you do not have access to it.", code="model_not_found")


def _card(name: str) -> Json:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "library"}


def _usage(ask: Ask) -> Json:
    prompt, completion = ask.reply.prompt_tokens, len(ask.reply.words) * ask.choices
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _finish(ask: Ask) -> str:
    return "length" if ask.reply.cut else "stop"


def _completion(ask: Ask) -> Json:
    said = ask.form.whole(ask.reply.text)
    choices = [
        {"index": index, **said, "logprobs": None, "finish_reason": _finish(ask)} for index in range(ask.choices)
    ]
    return {**_head(ask, ask.form.answer), "choices": choices, "usage": _usage(ask)}


async def _events(ask: Ask, pace: float) -> AsyncIterator[str]:
    """The stream: a role, the words, the reason to stop, the usage where asked for, and `[DONE]`."""
    if ask.form.begins is not None:
        yield _chunk(ask, ask.form.begins)
    async for word in ask.reply.paced(pace):
        yield _chunk(ask, ask.form.piece(word))
    yield _chunk(ask, ask.form.piece(""), finish=_finish(ask))
    if ask.include_usage:
        yield _event({**_head(ask, ask.form.event), "choices": [], "usage": _usage(ask)})
    yield "data: [DONE]\n\n"


def _chunk(ask: Ask, said: Mapping[str, object], *, finish: str | None = None) -> str:
    """One event a choice."""
    usage: Json = {"usage": None} if ask.include_usage else {}
    return "".join(
        _event({**_head(ask, ask.form.event), "choices": [choice], **usage})
        for choice in (
            {"index": index, **said, "logprobs": None, "finish_reason": finish} for index in range(ask.choices)
        )
    )


def _head(ask: Ask, kind: str) -> Json:
    return {
        "id": ask.id, "object": kind, "created": ask.created, "model": ask.model, "system_fingerprint": "fp_stand_in"
    }  # fmt: skip


def _embeddings(body: Mapping[str, object]) -> Json:
    """A vector for each text, as base64 where the client asks for that: OpenAI's own clients do."""
    name, given = _named(body), body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Refused(400, "The input must be a text, or a list of texts.", param="input")
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector(text)) if packed else vector(text)}
        for index, text in enumerate(texts)
    ]
    tokens = sum(len(text.split()) for text in texts)
    return {"object": "list", "data": data, "model": name, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def _packed(numbers: list[float]) -> str:
    return base64.b64encode(array("f", numbers).tobytes()).decode()


def _event(data: Mapping[str, object]) -> str:
    return f"data: {json.dumps(data, separators=(',', ':'))}\n\n"


CHAT = Form(
    answer="chat.completion",
    event="chat.completion.chunk",
    texts=_messages,
    whole=lambda text: {"message": {"role": "assistant", "content": text, "refusal": None}},
    piece=lambda text: {"delta": {"content": text} if text else {}},
    begins={"delta": {"role": "assistant", "content": "", "refusal": None}},
)
COMPLETIONS = Form(
    answer="text_completion",
    event="text_completion",
    texts=_prompt,
    whole=lambda text: {"text": text},
    piece=lambda text: {"text": text},
)
